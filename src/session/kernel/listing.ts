import { formatAddress, type Address } from "../../base/address.js";
import { compileGlob } from "../../symbols/glob.js";
import { formatVaddr, type Vaddr } from "../../symbols/vaddr.js";
import { isOfKernel, isReturn, isText, type Point, type TextPoint } from "../points/point.js";
import type { Foreign, KnownPoints, Match } from "../script/known-points.js";
import { callFunctions } from "./call-functions.js";
import type { KernelFunction } from "../../symbols/kernel/functions.js";
import { codeKey, placeKey } from "./code-key.js";
import type { CodeSource } from "./code-source.js";
import { sourcesOf } from "./codes.js";
import { refuseForbidden } from "./forbidden.js";
import { refuseOffsetIn } from "./places.js";
import { firstOfEachName } from "../../script/context/local-place.js";
import { typeText } from "../../script/context/type-text.js";
import { type FunctionType, resolved } from "../../symbols/types/type.js";
import type { KernelView } from "./view.js";

const PROCESS_WANTED: Foreign = {
  why: "the target is a kernel, whose processes are not probed by themselves",
  remedy: "probe kernel.function, module(…).function or syscall.* here; a process is traced with -c or -x",
};

/** What can be said of a kernel's points before any is armed: from its image, and from the modules that are loaded. */
export class KernelPoints implements KnownPoints {
  constructor(private readonly view: KernelView) {}

  [Symbol.dispose](): void {
    // The image belongs to who opened it.
  }

  foreign(point: Point): Foreign | undefined {
    if (!("program" in point) || isOfKernel(point.program)) return undefined;
    return point.kind === "system-call" && point.program.kind === "any" ? undefined : PROCESS_WANTED;
  }

  matches(point: TextPoint): boolean | undefined {
    // A module that is not loaded now may be later.
    if (point.kind === "statement" || point.program.kind === "module") return undefined;
    return functionsOf(point, this.view.kernel).length > 0;
  }

  refuse(point: TextPoint): void {
    if (point.kind === "statement" || point.program.kind !== "kernel") return;
    // Whoever names one function wants that one; of many, those that cannot be probed are told at the end.
    if (compileGlob(point.functions).exact === undefined) return;
    const { code } = this.view.kernel;
    const functions = functionsOf(point, this.view.kernel);
    if (point.kind === "offset")
      for (const found of functions) refuseOffset(this.view.kernel, found, point.offset);
    const [first] = functions;
    if (first !== undefined && functions.every(({ vaddr }) => code.forbidden(vaddr) !== undefined))
      refuseForbidden(code, first.vaddr, first.vaddr as number as Address);
  }

  matchesOf(point: Point, text: string): readonly Match[] {
    if (point.kind === "system-call") return this.callsOf(point);
    if (!isText(point)) return [{ text, place: undefined }];
    const sources = sourcesOf(point, this.view);
    if (sources === undefined) return [{ text, place: undefined }];
    return sources.flatMap((source) => matchesIn(point, source));
  }

  private callsOf(point: Extract<Point, { kind: "system-call" }>): readonly Match[] {
    const container =
      point.program.kind === "kernel" ? (name: string) => `kernel.syscall("${name}")` : dotted;
    return callFunctions(this.view.kernel.code, point.name ?? "*").map(({ name, function: { vaddr } }) => ({
      text: `${container(name)}${suffixOf(point)}`,
      place: formatVaddr(vaddr),
    }));
  }
}

/** @throws ProbeRefused by the image: that of a kernel that runs is looked at again when it is armed */
function refuseOffset(source: CodeSource, found: KernelFunction, offset: number): void {
  const read = (at: Address, into: Uint8Array): number => {
    const bytes = source.bytesAt(at as number as Vaddr, into.length);
    into.set(bytes);
    return bytes.length;
  };
  refuseOffsetIn(found, found.vaddr as number as Address, offset, read);
}

function dotted(name: string): string {
  return `syscall.${name}`;
}

function matchesIn(point: TextPoint, source: CodeSource): readonly Match[] {
  const container = source.name === "kernel" ? "kernel" : `module("${source.name}")`;
  if (point.kind === "statement") {
    const place = formatAddress(Number(BigInt.asIntN(64, point.vaddr)) as Address);
    return [{ text: `${container}.statement(${place}).absolute`, place }];
  }
  return functionsOf(point, source).map((found) => {
    if (point.kind === "offset") {
      const text = `${container}.statement("${found.name}+0x${point.offset.toString(16)}")`;
      const place = formatAddress((found.vaddr + point.offset) as Address);
      const vaddr = (found.vaddr + point.offset) as Vaddr;
      return {
        text,
        place,
        // Looked up only for who asks: that takes reading debug information.
        get variables() {
          return variablesInside(source, vaddr);
        },
        code: placeKey(source.name, vaddr),
      };
    }
    const text = `${container}.function("${found.name}")${point.exported === true ? ".exported" : ""}${suffixOf(point)}`;
    return {
      text,
      place: formatVaddr(found.vaddr),
      variables: variablesOf(source.code.prototype(found.name, found.vaddr), isReturn(point)),
      code: codeKey(source.name, found.name),
    };
  });
}

function functionsOf(
  point: Extract<TextPoint, { kind: "function" | "offset" }>,
  source: CodeSource,
): readonly KernelFunction[] {
  const functions = source.code.functions(point.functions);
  return point.kind === "function" && point.exported === true
    ? functions.filter(({ exported }) => exported)
    : functions;
}

/** Those that are somewhere at a place inside of a function; undefined where nothing tells. */
function variablesInside(source: CodeSource, vaddr: Vaddr): readonly string[] | undefined {
  const all = source.code.variablesAt(vaddr);
  return (
    all &&
    firstOfEachName(all)
      .filter(({ location }) => location.kind !== "absent")
      .map(({ name, type }) => `$${name}:${typeText(type)}`)
  );
}

/** `$file:struct file*`, as SystemTap lists them. */
function variablesOf(prototype: FunctionType | undefined, returns: boolean): readonly string[] {
  if (prototype === undefined) return [];
  const gives = returns && resolved(prototype.returns).kind !== "void";
  const result = gives ? [`$return:${typeText(prototype.returns)}`] : [];
  const named = prototype.parameters.filter(({ name }) => name !== "");
  return [...result, ...named.map(({ name, type }) => `$${name}:${typeText(type)}`)];
}

function suffixOf(point: Point): string {
  return isReturn(point) ? ".return" : "";
}
