import { SharedBytes, SYS, systemCall3 } from "../../system-calls.js";

// `struct termios2`: four words of flags, a line discipline, 19 control characters, two speeds.
// include/uapi/asm-generic/termbits.h, ioctls.h.
const TERMIOS2_BYTES = 44;
const TCGETS2 = 0x802c542a;
const TCSETS2 = 0x402c542b;
const OFFSET = { iflag: 0, oflag: 4, cflag: 8, lflag: 12, characters: 17, ispeed: 36, ospeed: 40 } as const;
const VTIME = 5;
const VMIN = 6;
const CS8 = 0o60;
const CREAD = 0o200;
const CLOCAL = 0o4000;
const BOTHER = 0o10000;

/**
 * Makes a serial line carry bytes as they are: eight bits, no parity, no flow control, no modem, no echo.
 *
 * @param baud any speed that the device can do, not only those that have a name
 * @returns 0, or `-errno`: the descriptor is no serial line
 */
export function setSerialLine(descriptor: number, baud: number): number {
  const termios = new SharedBytes(TERMIOS2_BYTES);
  const got = systemCall3(SYS.ioctl, descriptor, TCGETS2, termios.address);
  if (got < 0) return got;
  const { view } = termios;
  view.setUint32(OFFSET.iflag, 0, true);
  view.setUint32(OFFSET.oflag, 0, true);
  view.setUint32(OFFSET.cflag, CS8 | CREAD | CLOCAL | BOTHER, true);
  view.setUint32(OFFSET.lflag, 0, true);
  view.setUint8(OFFSET.characters + VTIME, 0);
  view.setUint8(OFFSET.characters + VMIN, 1);
  view.setUint32(OFFSET.ispeed, baud, true);
  view.setUint32(OFFSET.ospeed, baud, true);
  return systemCall3(SYS.ioctl, descriptor, TCSETS2, termios.address);
}
