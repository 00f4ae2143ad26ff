import type { Address } from "../base/address.js";
import type { SceneSymbol } from "../handlers/js/scene.js";
import type { ProbeCore } from "../probes/core.js";
import type { Hit } from "../probes/probe.js";
import type { Memory, SpaceId, Target, ThreadId } from "../targets/target.js";
import type { SystemCalls } from "./system-calls.js";
import type { ProgramPattern, TextPoint } from "./points/point.js";
import type { Where } from "./where.js";

/** Code with a name, at one place of one space: a program, a library; a kernel, a module of it. */
export interface CodeImage {
  readonly space: SpaceId;
  /** What messages call it: a path, `kernel`, a module's name. */
  readonly path: string;
  /** Its symbol at an address in memory, or the one before it. */
  symbolAt(
    address: Address,
  ): { readonly name: string; readonly offset: number; readonly size?: number } | undefined;
  /**
   * Refuses places where a displaced instruction would do harm that the instruction itself does not tell.
   * @throws ProbeRefused
   */
  refuse(address: Address): void;
}

/** An address to be probed. */
export interface Place {
  readonly address: Address;
  /** First byte there in the image's file; undefined where no file tells. */
  readonly fileByte: number | undefined;
}

/** One place that a point names, in one image of one space. */
export interface TextPlace extends Place {
  readonly image: CodeImage;
  /** Of the function, for messages. */
  readonly name: string;
  /** Of the code that handlers with context variables are made for: the key of its ProbedCode. */
  readonly code?: string;
}

/** A function whose implementation is selected by code of the target (an IFUNC), and was not yet. */
export interface Waiting {
  /** Where the code is that selects it. */
  readonly resolver: Address;
  /** The place, where it can be read by now. */
  look(memory: Memory): TextPlace | undefined;
  /** The place, where that code has just selected it. */
  placeAt(selected: Address): TextPlace;
}

/** What a point names in an image. */
export interface Found {
  readonly places: readonly TextPlace[];
  readonly waiting: readonly Waiting[];
}

/** An image that a point is about. */
export interface Candidate {
  readonly image: CodeImage;
  /** @throws ProbeRefused a statement that is no instruction's beginning */
  readonly find: (memory: Memory) => Found;
}

/** Which code is where in a target, as it comes and goes. */
export interface Images extends Disposable {
  allSpaces(): Iterable<SpaceId>;
  /** The image whose text holds this address. */
  at(space: SpaceId, address: Address): CodeImage | undefined;
  /** The images of a space that a point is about. */
  candidates(point: TextPoint, space: SpaceId): readonly Candidate[];
  /** Images of a space that another one was copied from, each with its copy. */
  copies(from: SpaceId, to: SpaceId): readonly { readonly original: CodeImage; readonly copy: CodeImage }[];
  /**
   * Finds the place that a kprobe names.
   *
   * @throws TargetError no such symbol in this space, or an address where no code is
   * @throws ProbeRefused inside of an instruction, or a place that must be left alone
   */
  locate(space: SpaceId, where: Where): Place;
  /** Is a thread one of those that a point is about? */
  concerns(program: ProgramPattern, thread: ThreadId): boolean;

  /** Looks at a space again; tells when something came or went. */
  refresh(space: SpaceId): void;
  /** A forked space has what its parent has. */
  copy(from: SpaceId, to: SpaceId): void;
  /** A copy whose original may have lost something between the fork and now is looked at by itself. */
  settleCopy(from: SpaceId, to: SpaceId): void;
  dropIfEmpty(space: SpaceId): void;
  /** Before we leave: probes go with text that was replaced by whomever. */
  forgetReplaced(space: SpaceId): void;
}

export interface ImagesListener {
  /** Code came or went. */
  readonly changed: (space: SpaceId) => void;
  /** Code has been made ready to run: what its own code selected can be read. */
  readonly relocated: (space: SpaceId) => void;
}

/** What only the target and its images know about a hit, for handlers that ask. */
export interface SceneFacts {
  /** Numbers of the process and the thread that a hit is in, as the target has them. */
  process(hit: Hit): number;
  thread(hit: Hit): number;
  symbolAt(space: SpaceId, address: Address): SceneSymbol | undefined;
  /** See `variableAddress` of the scene. */
  variableAddress(hit: Hit, image: string, address: bigint, perCpu: boolean): bigint | undefined;
  /** See `backtrace` of the scene. */
  backtrace(hit: Hit, stack: "kernel" | "user"): readonly bigint[] | undefined;
  /** See `currentTask` of the scene. */
  currentTask(hit: Hit): bigint | undefined;
  /** The time as the target has it, nanoseconds from some moment on: it stands where the target was made to stand. */
  clock(): bigint;
}

/**
 * A target, and how its code is found and its system calls are followed: chosen once, where the target is
 * opened. Nobody else asks what kind of target it is.
 */
export interface Tracee {
  readonly target: Target;
  images(core: ProbeCore, tell: ImagesListener): Images;
  systemCalls(core: ProbeCore, images: Images): SystemCalls;
  scene(images: Images): SceneFacts;
}
