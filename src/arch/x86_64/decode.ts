import { Decoder, DecoderOptions, Instruction } from "./iced.js";
import { type Address, toBigInt } from "../../base/address.js";

/** Longest x86 instruction. Intel SDM vol. 2, 2.3.11. */
export const MAX_INSTRUCTION_LENGTH = 15;

const BITNESS = 64;

// Decoded into again and again: one object on the other side of the WebAssembly border, for ever.
const scratch = new Instruction();

/**
 * Decodes the one instruction at the start of `bytes` and hands it to `use`; neither argument may
 * be kept. `use` is called for an instruction that does not decode, too: see `isInvalid`.
 */
export function withInstruction<Result>(
  bytes: Uint8Array,
  at: Address,
  use: (instruction: Instruction, decoder: Decoder) => Result,
): Result {
  const decoder = new Decoder(BITNESS, bytes, DecoderOptions.None);
  try {
    decoder.ip = toBigInt(at);
    decoder.decodeOut(scratch);
    return use(scratch, decoder);
  } finally {
    decoder.free();
  }
}

/** What a linear decoding of a function body found. */
export interface InstructionStarts {
  /** Addresses where instructions start, ascending, up to the first that does not decode. */
  readonly starts: readonly Address[];
  /** The first byte that is not part of a decoded instruction: the end of the body, where all decodes. */
  readonly decodedUpTo: Address;
}

/**
 * Instruction boundaries of a function body.
 *
 * @param bytes the original text (without breakpoints) from the function's first byte on
 * @param at    address of that first byte
 */
export function instructionStarts(bytes: Uint8Array, at: Address): InstructionStarts {
  const decoder = new Decoder(BITNESS, bytes, DecoderOptions.None);
  try {
    const starts: Address[] = [];
    while (decoder.canDecode) {
      const position = decoder.position;
      decoder.decodeOut(scratch);
      if (scratch.isInvalid) return { starts, decodedUpTo: (at + position) as Address };
      starts.push((at + position) as Address);
    }
    return { starts, decodedUpTo: (at + bytes.length) as Address };
  } finally {
    decoder.free();
  }
}

/** Where an address lies among the instructions of the function that holds it. */
export type BoundaryVerdict =
  | { readonly kind: "boundary" }
  /** Inside the instruction that starts at `start`. */
  | { readonly kind: "inside"; readonly start: Address }
  /** Behind the first bytes that do not decode (data among code): nothing can be said. */
  | { readonly kind: "unknown"; readonly decodedUpTo: Address };

/** @param address at or above the function's first byte */
export function boundaryVerdict(found: InstructionStarts, address: Address): BoundaryVerdict {
  if (address >= found.decodedUpTo) return { kind: "unknown", decodedUpTo: found.decodedUpTo };
  let low = 0;
  let high = found.starts.length;
  // Invariant: starts[low - 1] <= address < starts[high].
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((found.starts[middle] as Address) <= address) low = middle + 1;
    else high = middle;
  }
  const start = found.starts[low - 1];
  if (start === undefined) return { kind: "unknown", decodedUpTo: found.decodedUpTo };
  return start === address ? { kind: "boundary" } : { kind: "inside", start };
}

/** The legacy and REX prefixes before an opcode, as the processor reads them. */
export interface Prefixes {
  /** 66h. */
  readonly operandSize: boolean;
  /** 67h. */
  readonly addressSize: boolean;
  /** REX.W, counted only where REX is the last prefix: elsewhere the processor ignores it. */
  readonly rexW: boolean;
  /** Index of the first byte that is no prefix. */
  readonly opcodeAt: number;
}

/** Intel SDM vol. 2, 2.1.1 and 2.2.1. */
export function scanPrefixes(bytes: Uint8Array): Prefixes {
  let operandSize = false;
  let addressSize = false;
  let rex = 0;
  let index = 0;
  for (; index < bytes.length; index++) {
    const byte = bytes[index] as number;
    if ((byte & 0xf0) === 0x40) {
      rex = byte;
      continue;
    }
    if (byte === 0x66) operandSize = true;
    else if (byte === 0x67) addressSize = true;
    else if (!OTHER_PREFIXES.has(byte)) break;
    rex = 0;
  }
  return { operandSize, addressSize, rexW: (rex & 0x8) !== 0, opcodeAt: index };
}

/** Lock, repne, rep and the segment overrides. */
const OTHER_PREFIXES: ReadonlySet<number> = new Set([0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65]);
