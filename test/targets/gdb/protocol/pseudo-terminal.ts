import { closeFile, openFile, SharedBytes, SYS, systemCall3 } from "../../../../src/targets/system-calls.js";

// include/uapi/asm-generic/ioctls.h
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;
const O_RDWR = 2;
const O_NOCTTY = 0o400;

/** Both ends of a pseudo-terminal: a serial line without a cable. */
export class PseudoTerminal implements Disposable {
  private constructor(
    /** The descriptor of the other end. */
    readonly master: number,
    /** The end that is opened as a serial device. */
    readonly path: string,
  ) {}

  static open(): PseudoTerminal {
    const master = openFile("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0) throw new Error(`/dev/ptmx: ${String(master)}`);
    const word = new SharedBytes(4);
    systemCall3(SYS.ioctl, master, TIOCSPTLCK, word.address);
    systemCall3(SYS.ioctl, master, TIOCGPTN, word.address);
    return new PseudoTerminal(master, `/dev/pts/${String(word.words[0])}`);
  }

  [Symbol.dispose](): void {
    closeFile(this.master);
  }
}
