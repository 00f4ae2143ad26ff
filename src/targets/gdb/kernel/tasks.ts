import { type Address, addressFromHalves, offsetBy } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import type { ThreadFacts, ThreadId } from "../../target.js";
import type { Vcpu } from "./machine.js";

/** arch/x86/include/asm/page_64_types.h: THREAD_SIZE, without KASAN. */
const STACK_BYTES = 16_384;
const NAME_BYTES = 16;
/** Tasks get numbers from here on; below are the processors' own contexts. */
const FIRST_TASK = 1 << 16;

/** Where a kernel keeps what is known of a task. Undefined: it does not say. */
export interface TaskLayout {
  /** The current task: from a processor's base of per-CPU variables on. */
  readonly current: number;
  readonly processor: number | undefined;
  readonly stack: number | undefined;
  readonly pid: number | undefined;
  readonly tgid: number | undefined;
  readonly comm: number | undefined;
  readonly parent: number | undefined;
  readonly credentials: number | undefined;
  readonly user: number | undefined;
  readonly group: number | undefined;
}

/** @returns undefined where the kernel does not say which task is the current one */
export function taskLayout(image: KernelImage, slide: number): TaskLayout | undefined {
  const place = (struct: string, member: string): number | undefined => image.placeOf(struct, member)?.offset;
  const hot = image.symbol("pcpu_hot");
  const hotTask = hot === undefined ? undefined : place("pcpu_hot", "current_task");
  const hotNumber = hot === undefined ? undefined : place("pcpu_hot", "cpu_number");
  const perCpu = (symbol: string): number | undefined => {
    const vaddr = image.symbol(symbol);
    return vaddr === undefined ? undefined : live(vaddr, slide);
  };
  const inHot = (offset: number | undefined): number | undefined =>
    hot === undefined || offset === undefined ? undefined : live(hot, slide) + offset;
  const current = inHot(hotTask) ?? perCpu("current_task");
  if (current === undefined) return undefined;
  return {
    current,
    processor: inHot(hotNumber) ?? perCpu("cpu_number"),
    stack: place("task_struct", "stack"),
    pid: place("task_struct", "pid"),
    tgid: place("task_struct", "tgid"),
    comm: place("task_struct", "comm"),
    parent: place("task_struct", "real_parent"),
    credentials: place("task_struct", "cred"),
    user: place("cred", "uid"),
    group: place("cred", "gid"),
  };
}

/** Per-CPU variables are numbered from 0 on, or lie where the image has them and slide with it. */
function live(vaddr: number, slide: number): number {
  return vaddr >= 0 ? vaddr : vaddr + slide;
}

/** Reads memory as it is now. @returns bytes read */
type Read = (at: Address, into: Uint8Array) => number;

interface Task {
  readonly id: ThreadId;
  /** The lowest address of its stack, where that is known. */
  stack: Address | undefined;
}

/**
 * Flows of execution: a task, by its `task_struct`, or what a processor does on a stack of its own
 * (interrupts). Whatever a damaged kernel says, there is an answer.
 */
export class Tasks {
  private readonly known = new Map<Address, Task>();
  private readonly addresses = new Map<ThreadId, Address>();
  private next = FIRST_TASK;
  private readonly word = new Uint8Array(8);
  private readonly view = new DataView(this.word.buffer);

  constructor(
    private readonly layout: TaskLayout | undefined,
    private readonly read: Read,
    private readonly contexts: number,
  ) {}

  /** Where the pointer to a processor's current task lies; undefined where nothing sensible can be read. */
  currentAt(vcpu: Vcpu): Address | undefined {
    if (this.layout === undefined) return undefined;
    const base = BigInt.asIntN(64, vcpu.actual.read("gs_base"));
    const at = Number(base + BigInt(this.layout.current));
    return Number.isSafeInteger(at) && at < 0 && at >= -(2 ** 47) ? (at as Address) : undefined;
  }

  /**
   * @param pointer the bytes at {@link currentAt}; undefined where they could not be read
   * @param sp      where the flow has its stack
   */
  threadOf(vcpu: Vcpu, pointer: Uint8Array | undefined, sp: Address): ThreadId {
    const at = pointer === undefined ? undefined : addressIn(pointer);
    if (at === undefined || at >= 0 || at % 8 !== 0) return contextOf(vcpu);
    let task = this.known.get(at);
    if (task === undefined || !holds(task.stack, sp)) {
      const stack = this.stackOf(at);
      if (!holds(stack, sp)) return contextOf(vcpu);
      task ??= this.enter(at);
      task.stack = stack;
    }
    return task.id;
  }

  /** What a processor does outside of tasks. */
  contextOf(vcpu: Vcpu): ThreadId {
    return contextOf(vcpu);
  }

  *all(): Iterable<ThreadId> {
    for (let index = 0; index < this.contexts; index++) yield (index + 1) as ThreadId;
    yield* this.addresses.keys();
  }

  /** The task_struct of a thread, or of what a processor's own context interrupted. */
  private addressOf(thread: ThreadId, vcpu: Vcpu | undefined): Address | undefined {
    const known = this.addresses.get(thread);
    if (known !== undefined || vcpu === undefined) return known;
    const at = this.currentAt(vcpu);
    return at === undefined ? undefined : this.pointer(at);
  }

  /**
   * As {@link addressOf}, but what the kernel itself would take for it, however damaged; 0 where even that cannot
   * be read.
   *
   * @returns undefined where the kernel does not say where it keeps it
   */
  currentOf(thread: ThreadId, vcpu: Vcpu | undefined): bigint | undefined {
    if (this.layout === undefined) return undefined;
    const known = this.addresses.get(thread);
    if (known !== undefined) return BigInt(known);
    const at = vcpu === undefined ? undefined : this.currentAt(vcpu);
    return at !== undefined && this.read(at, this.word) === 8 ? this.view.getBigInt64(0, true) : 0n;
  }

  facts(thread: ThreadId, vcpu: Vcpu | undefined): ThreadFacts {
    return new TaskFacts(this, this.layout, this.addressOf(thread, vcpu), vcpu);
  }

  /** A 32-bit number; 0 where it cannot be read. */
  number(at: Address | undefined, offset: number | undefined): number {
    if (at === undefined || offset === undefined) return 0;
    const bytes = this.word.subarray(0, 4);
    return this.read(offsetBy(at, offset), bytes) === 4 ? this.view.getInt32(0, true) : 0;
  }

  pointer(at: Address | undefined, offset = 0): Address | undefined {
    if (at === undefined) return undefined;
    if (this.read(offsetBy(at, offset), this.word) < 8) return undefined;
    const to = addressIn(this.word);
    return to !== undefined && to < 0 ? to : undefined;
  }

  text(at: Address | undefined, offset: number | undefined): string {
    if (at === undefined || offset === undefined) return "";
    const bytes = new Uint8Array(NAME_BYTES);
    const got = this.read(offsetBy(at, offset), bytes);
    const end = bytes.indexOf(0);
    return Buffer.from(bytes.subarray(0, end < 0 ? got : Math.min(end, got))).toString("utf8");
  }

  private stackOf(task: Address): Address | undefined {
    return this.layout?.stack === undefined ? undefined : this.pointer(task, this.layout.stack);
  }

  private enter(at: Address): Task {
    const task: Task = { id: this.next++ as ThreadId, stack: undefined };
    this.known.set(at, task);
    this.addresses.set(task.id, at);
    return task;
  }
}

function contextOf(vcpu: Vcpu): ThreadId {
  return (vcpu.index + 1) as ThreadId;
}

function holds(stack: Address | undefined, sp: Address): boolean {
  return stack !== undefined && sp > stack && sp <= stack + STACK_BYTES;
}

function addressIn(bytes: Uint8Array): Address | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const high = view.getInt32(4, true);
  const canonical = high >= -0x8000 && high < 0x8000;
  return canonical ? addressFromHalves(view.getUint32(0, true), high) : undefined;
}

/** Facts of a task, each read when it is asked for. */
class TaskFacts implements ThreadFacts {
  constructor(
    private readonly tasks: Tasks,
    private readonly layout: TaskLayout | undefined,
    private readonly task: Address | undefined,
    private readonly vcpu: Vcpu | undefined,
  ) {}

  get process(): number {
    return this.tasks.number(this.task, this.layout?.tgid);
  }

  get thread(): number {
    return this.tasks.number(this.task, this.layout?.pid);
  }

  get parentProcess(): number {
    const { layout, tasks, task } = this;
    if (layout?.parent === undefined) return 0;
    return tasks.number(tasks.pointer(task, layout.parent), layout.tgid);
  }

  get processor(): number {
    return this.vcpu?.index ?? 0;
  }

  get executable(): string {
    return this.name;
  }

  get name(): string {
    return this.tasks.text(this.task, this.layout?.comm);
  }

  get user(): number {
    return this.credential(this.layout?.user);
  }

  get group(): number {
    return this.credential(this.layout?.group);
  }

  private credential(offset: number | undefined): number {
    const { layout, tasks, task } = this;
    if (layout?.credentials === undefined) return 0;
    return tasks.number(tasks.pointer(task, layout.credentials), offset) >>> 0;
  }
}
