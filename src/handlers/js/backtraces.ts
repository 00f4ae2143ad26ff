import { type ByteString, fromText, truncated } from "../../runtime/byte-string.js";
import type { HandlerContext } from "../../runtime/context.js";
import { ScriptError } from "../../runtime/errors.js";
import type { Scene, SceneSymbol } from "./scene.js";

type Stack = "kernel" | "user";

/** Stacks and symbols as text; formats are those of SystemTap's runtime (stack.c, sym.c). */
export function backtraces(k: HandlerContext, scene: Scene): Record<string, unknown> {
  const most = k.services.limits.MAXSTRINGLEN;
  const frames = (stack: Stack): readonly bigint[] => {
    const found = scene.backtrace(k.thread, stack);
    if (found !== undefined) return found;
    throw new ScriptError(
      stack === "user"
        ? "no user-space backtrace: nothing of this target tells how user-space stacks are unwound"
        : "no kernel backtrace: this target has no kernel stack that can be read",
    );
  };
  const symbol = (address: bigint): SceneSymbol | undefined => scene.symbolAt(k.hit, address);
  const full = (address: bigint): ByteString => ` ${hexadecimal(address)}${located(symbol(address))}\n`;
  const simple = (address: bigint): ByteString => {
    const found = symbol(address);
    if (found === undefined) return `${hexadecimal(address)}\n`;
    const module = found.module === "" ? "" : ` [${basename(found.module)}]`;
    return fromText(`${found.name}+${offsetOf(found)}${module}\n`);
  };
  const data = (address: bigint): ByteString => {
    const found = symbol(address);
    return found === undefined ? hexadecimal(address) : extent(found);
  };
  const name = (address: bigint): ByteString => {
    const found = symbol(address);
    return found === undefined ? hexadecimal(address) : fromText(found.name);
  };
  const lines = (stack: Stack, line: (address: bigint) => ByteString): ByteString =>
    frames(stack).map(line).join("");
  const hexes = (stack: Stack): ByteString =>
    truncated(
      frames(stack)
        .map((address) => `${hexadecimal(address)} `)
        .join(""),
      most,
    );
  /** Whole lines only, as many as a string holds. */
  const bounded = (stack: Stack): ByteString => {
    let text = "";
    for (const address of frames(stack)) {
      const line = simple(address);
      if (text.length + line.length >= most) break;
      text += line;
    }
    return text;
  };
  const symbols = (stack: ByteString): ByteString[] =>
    addressesIn(stack).map((address) => ` ${hexadecimal(address)} : ${data(address)}\n`);
  const print = (text: ByteString): void => {
    k.services.print(text);
  };
  const nth = (stack: Stack, number: bigint): bigint => {
    const found = number < 0n ? undefined : frames(stack)[Number(number)];
    if (found === undefined)
      throw new ScriptError(`unable to unwind the stack to level ${number.toString()}`);
    return BigInt.asIntN(64, found);
  };
  const caller = (): bigint => nth("kernel", 1n);
  return {
    backtrace: () => hexes("kernel"),
    ubacktrace: () => hexes("user"),
    print_backtrace: () => {
      print(lines("kernel", full));
    },
    print_ubacktrace: () => {
      print(lines("user", full));
    },
    sprint_backtrace: () => bounded("kernel"),
    sprint_ubacktrace: () => bounded("user"),
    print_stack: (stack: ByteString) => {
      print(symbols(stack).join(""));
    },
    print_syms: (stack: ByteString) => {
      print(symbols(stack).join(""));
    },
    sprint_stack: (stack: ByteString) => truncated(symbols(stack).join(""), most),
    sprint_syms: (stack: ByteString) => truncated(symbols(stack).join(""), most),
    stack: (number: bigint) => nth("kernel", number),
    ustack: (number: bigint) => nth("user", number),
    caller_addr: caller,
    caller: () => {
      const address = caller();
      return fromText(`${symbol(address)?.name ?? hexadecimal(address)} ${hexadecimal(address)}`);
    },
    symname: name,
    usymname: name,
    symdata: data,
    usymdata: data,
    modname: (address: bigint) => fromText(moduleOf(symbol(address))),
    probemod: () => fromText(moduleOf(symbol(BigInt(k.hit.at)))),
    task_current: (): bigint => {
      const task = scene.currentTask(k.thread);
      if (task === undefined) throw new ScriptError("this target has no task structures: it is no kernel");
      return BigInt.asIntN(64, task);
    },
  };
}

function moduleOf(symbol: SceneSymbol | undefined): string {
  return symbol === undefined || symbol.module === "" ? "<unknown>" : symbol.module;
}

function located(symbol: SceneSymbol | undefined): ByteString {
  return symbol === undefined ? "" : ` : ${extent(symbol)}`;
}

function extent(symbol: SceneSymbol): ByteString {
  const size = symbol.size === 0 ? "" : `/0x${symbol.size.toString(16)}`;
  const module = symbol.module === "" ? "" : ` [${symbol.module}]`;
  return fromText(`${symbol.name}+${offsetOf(symbol)}${size}${module}`);
}

function offsetOf({ offset }: SceneSymbol): string {
  return `0x${offset.toString(16)}`;
}

function hexadecimal(address: bigint): ByteString {
  return `0x${BigInt.asUintN(64, address).toString(16)}`;
}

function basename(module: string): string {
  return module.slice(module.lastIndexOf("/") + 1);
}

/** What `backtrace()` gave, or a reader wrote. */
function addressesIn(stack: ByteString): bigint[] {
  return [...stack.matchAll(/\b(?:0x)?([0-9a-f]+)\b/gi)].map((match) => BigInt(`0x${match[1] ?? "0"}`));
}
