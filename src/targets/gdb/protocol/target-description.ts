import { parseXml, XmlElement, XmlError } from "@rgrove/parse-xml";
import { TargetError } from "../../../base/errors.js";

/** A register as a stub describes it. */
export interface DescribedRegister {
  readonly name: string;
  readonly number: number;
  readonly bits: number;
  /** `int64`, `code_ptr`, `vec128` …; `""` where the description does not say. */
  readonly type: string;
}

export interface TargetDescription {
  /** `i386:x86-64`; undefined where the description does not say. */
  readonly architecture: string | undefined;
  /** In the order of their numbers. */
  readonly registers: readonly DescribedRegister[];
}

/** Descriptions are kilobytes; these are bounds on nonsense. */
const MOST_DOCUMENTS = 64;
const DEEPEST = 8;
const MOST_REGISTERS = 4096;
const WIDEST = 4096;

/**
 * Puts a target description together from its documents. GDB manual, "Target Descriptions".
 *
 * @param read gives a document by name; the first is `target.xml`
 * @param name of the stub, for error messages
 * @throws TargetError a document is none
 */
export function readDescription(read: (document: string) => string, name: string): TargetDescription {
  return new DescriptionReader(read, name).read();
}

class DescriptionReader {
  private architecture: string | undefined;
  private readonly registers = new Map<number, DescribedRegister>();
  private documents = 0;
  private next = 0;

  constructor(
    private readonly document: (name: string) => string,
    private readonly stub: string,
  ) {}

  read(): TargetDescription {
    this.include("target.xml", 0);
    const registers = [...this.registers.values()].sort((a, b) => a.number - b.number);
    return { architecture: this.architecture, registers };
  }

  private include(name: string, depth: number): void {
    if (++this.documents > MOST_DOCUMENTS || depth > DEEPEST)
      throw this.error(`its documents include each other without end (${name})`);
    const text = this.document(name);
    let root: XmlElement | null;
    try {
      ({ root } = parseXml(text));
    } catch (error) {
      if (!(error instanceof XmlError)) throw error;
      throw this.error(`${name} is no XML: ${error.message.split("\n", 1)[0] ?? ""}`);
    }
    if (root !== null) this.element(root, depth);
  }

  private element(element: XmlElement, depth: number): void {
    switch (element.name) {
      case "architecture":
        this.architecture ??= element.text.trim();
        return;
      case "xi:include": {
        const { href } = element.attributes;
        if (href === undefined) throw this.error("an xi:include has no href");
        this.include(href, depth + 1);
        return;
      }
      case "reg":
        this.register(element);
        return;
      case "target":
      case "feature":
        for (const child of element.children) if (child instanceof XmlElement) this.element(child, depth);
        return;
      default:
        // Types, and what later versions add.
        return;
    }
  }

  private register({ attributes }: XmlElement): void {
    const { name, bitsize, regnum, type = "" } = attributes;
    if (name === undefined || bitsize === undefined) throw this.error("a register has no name or no size");
    const bits = decimal(bitsize);
    const number = regnum === undefined ? this.next : decimal(regnum);
    if (bits === undefined || bits === 0 || bits > WIDEST || number === undefined || number >= MOST_REGISTERS)
      throw this.error(`register ${name.slice(0, 40)}: a size of ${bitsize} bits, number ${regnum ?? ""}`);
    this.next = number + 1;
    this.registers.set(number, { name, number, bits, type });
  }

  private error(what: string): TargetError {
    return new TargetError(`${this.stub}: the stub's description of its target is not understood: ${what}`);
  }
}

function decimal(text: string): number | undefined {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}
