import { type Address, addressFromHalves, addressOf, offsetBy } from "../../../base/address.js";

const WORD = 8;
/** rip, cs, rflags, rsp, ss. Intel SDM vol. 3A, figure 6-9. */
const WORDS = 5;
const PRIVILEGE_LEVEL = 3;

/** Exceptions with which the processor pushes an error code. Intel SDM vol. 3A, table 6-1. */
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);

function hasErrorCode(vector: number): boolean {
  return WITH_ERROR_CODE.has(vector);
}

/** What the processor pushed when an exception began, read at the entry's first instruction. */
export class ExceptionFrame {
  readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly view: DataView;
  private readonly start: number;

  /**
   * @param sp     of the entry's first instruction
   * @param vector decides whether an error code stands before the frame
   */
  constructor(
    readonly sp: Address,
    vector: number,
  ) {
    this.start = hasErrorCode(vector) ? WORD : 0;
    this.bytes = new Uint8Array(this.start + WORDS * WORD);
    this.view = new DataView(this.bytes.buffer);
  }

  /** 0 where there is none. */
  get errorCode(): number {
    return this.start === 0 ? 0 : this.view.getUint32(0, true);
  }

  /** Where the program counter lies in memory. */
  get pcAt(): Address {
    return offsetBy(this.sp, this.start);
  }

  get flagsAt(): Address {
    return offsetBy(this.pcAt, 2 * WORD);
  }

  get stackAt(): Address {
    return offsetBy(this.pcAt, 3 * WORD);
  }

  get pc(): Address {
    return addressFromHalves(this.low(0), this.high(0));
  }

  get cs(): bigint {
    return this.word(1);
  }

  get flags(): bigint {
    return this.word(2);
  }

  get stack(): Address {
    return addressFromHalves(this.low(3), this.high(3));
  }

  get ss(): bigint {
    return this.word(4);
  }

  get fromUser(): boolean {
    return (this.low(1) & PRIVILEGE_LEVEL) === PRIVILEGE_LEVEL;
  }

  /** Does it make sense at all? */
  get isPlausible(): boolean {
    return addressOf(this.word(0)) !== undefined && addressOf(this.word(3)) !== undefined;
  }

  private word(index: number): bigint {
    return this.view.getBigUint64(this.start + index * WORD, true);
  }

  private low(index: number): number {
    return this.view.getUint32(this.start + index * WORD, true);
  }

  private high(index: number): number {
    return this.view.getInt32(this.start + index * WORD + 4, true);
  }
}
