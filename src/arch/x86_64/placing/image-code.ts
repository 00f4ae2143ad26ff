import { frameAt, type FrameDescription } from "../../../symbols/elf/frames.js";
import type { ElfImage } from "../../../symbols/elf/image.js";
import { rangeAt, type Vaddr } from "../../../symbols/vaddr.js";
import { CodeEntries, type TextRange } from "./code-entries.js";
import { Islands } from "./islands.js";
import { JumpPlanner, type JumpPlan } from "./jump-planner.js";

/** Behind a function's last byte: as far as padding is of interest. */
const PADDING = 16;

/** The code of a program or library, looked through once, and where in it jumps can stand. */
export class ImageCode {
  private readonly islands: Islands;
  /** That of the function that was asked for last: probes come function by function. */
  private planner: { readonly frame: FrameDescription; readonly planner: JumpPlanner } | undefined;

  private constructor(
    private readonly image: ElfImage,
    readonly entries: CodeEntries,
    /** Functions, and parts of functions, that hold code, in order of start. */
    readonly functions: readonly FrameDescription[],
  ) {
    const ranges = functions.map(({ start, length }): TextRange => ({ start, end: start + length }));
    this.islands = new Islands(ranges, entries, (at, length) => image.bytesAt(at as Vaddr, length));
  }

  /** @throws TargetError the file is cut short */
  static of(image: ElfImage): ImageCode {
    const { code } = image;
    const functions = image.frameDescriptions().filter(({ start }) => image.isCode(start));
    const starts = new Set<number>(functions.map(({ start }) => start));
    for (const { start } of code) starts.add(start);
    for (const { vaddr } of image.pltStubs()) starts.add(vaddr);
    const entered: number[] = image.codePointers();
    for (const { vaddr, type } of image.symbols()) {
      if (!image.isCode(vaddr)) continue;
      entered.push(vaddr);
      if (type === "func" || type === "ifunc") starts.add(vaddr);
    }
    const { pads, unread } = image.landingPads();
    const entries = CodeEntries.of({
      isFixed: image.type === "EXEC",
      code,
      dataInCode: image.dataInCode(),
      starts: [...starts].sort((one, other) => one - other),
      entered: [...entered, ...pads],
      bytesAt: (at, length) => image.bytesAt(at as Vaddr, length),
    });
    for (const at of unread) entries.openFunctionAt(at);
    return new ImageCode(image, entries, functions);
  }

  /** Whether a probe's location may become a jump; see {@link JumpPlanner}. An island that it needs is taken. */
  plan(at: Vaddr): JumpPlan {
    // A linkage table is one function to the unwinder, and its stubs are patched and jumped between.
    if (rangeAt(this.image.pltRanges, at) !== undefined) return { kind: "refused", reason: "no-frame" };
    // Of what the unwinder does not know somebody else's unwinder may: but nobody is led to before its first call.
    const isStart = frameAt(this.functions, at) !== undefined || this.symbolAt(at)?.start === at;
    const planner = isStart ? this.plannerAt(at) : undefined;
    return planner === undefined ? { kind: "refused", reason: "no-frame" } : planner.plan(at);
  }

  /** A function by its symbol alone. */
  private symbolAt(at: Vaddr): FrameDescription | undefined {
    const bounds = this.image.functionBounds(at);
    return bounds && { start: bounds.start, length: bounds.end - bounds.start, handlers: undefined };
  }

  private plannerAt(at: Vaddr): JumpPlanner | undefined {
    if (this.planner !== undefined && isIn(this.planner.frame, at)) return this.planner.planner;
    const frame = frameAt(this.functions, at) ?? this.symbolAt(at);
    if (frame === undefined) return undefined;
    const end = frame.start + frame.length;
    const behind = Math.max(end, Math.min(this.entries.nextStart(end - 1), end + PADDING));
    const bytes = this.image.bytesAt(frame.start, behind - frame.start);
    const range = { start: frame.start, end };
    const planner = new JumpPlanner({ range, bytes }, this.entries, (from, inner) =>
      this.islands.take(from, inner),
    );
    this.planner = { frame, planner };
    return planner;
  }
}

function isIn(frame: FrameDescription, at: number): boolean {
  return at >= frame.start && at < frame.start + frame.length;
}
