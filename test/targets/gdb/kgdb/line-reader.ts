// Takes one direction of a line apart. GDB manual, "Overview": packets `$text#sum`, `+` and `-`, and a bare 0x03.

export interface LineListener {
  /** @param text as bytes in latin1, `*` and `}` as they came */
  packet(text: string): void;
  acknowledged(mark: "+" | "-"): void;
  interrupted(): void;
  /** Bytes that belong to no packet. */
  stray(text: string): void;
}

const INTERRUPT = "\x03";

/** Packets may come in pieces; a `$` within one begins it anew, as stubs that were cut off do. */
export class LineReader {
  private held = "";

  constructor(private readonly listener: LineListener) {}

  add(bytes: Uint8Array): void {
    const text = this.held + Buffer.from(bytes).toString("latin1");
    this.held = "";
    let stray = "";
    const flush = (): void => {
      if (stray !== "") this.listener.stray(stray);
      stray = "";
    };
    for (let at = 0; at < text.length;) {
      const character = text[at] ?? "";
      if (character === "$") {
        const end = text.indexOf("#", at);
        if (end < 0 || end + 2 >= text.length) {
          this.held = text.slice(at);
          break;
        }
        flush();
        const body = text.slice(at + 1, end);
        this.listener.packet(body.slice(body.lastIndexOf("$") + 1));
        at = end + 3;
        continue;
      }
      at++;
      if (character === "+" || character === "-") {
        flush();
        this.listener.acknowledged(character);
      } else if (character === INTERRUPT) {
        flush();
        this.listener.interrupted();
      } else stray += character;
    }
    flush();
  }
}

/** A packet as it goes over the line. */
export function framed(text: string): string {
  let sum = 0;
  for (const character of text) sum += character.charCodeAt(0);
  return `$${text}#${(sum & 0xff).toString(16).padStart(2, "0")}`;
}
