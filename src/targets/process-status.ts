import { TargetError } from "../base/errors.js";

const HEXADECIMAL = /^[0-9a-f]{1,16}$/;
const DECIMAL = /^-?[0-9]{1,20}$/;

/** The fields of a `/proc/TID/status`. proc_pid_status(5). */
export class StatusFields {
  private readonly fields = new Map<string, string>();

  /** @param file for error messages: `/proc/7/status` */
  constructor(
    text: string,
    private readonly file: string,
  ) {
    for (const line of text.split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) this.fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
    }
  }

  /** Undefined where the kernel does not have it. */
  get(name: string): string | undefined {
    return this.fields.get(name);
  }

  /** @throws TargetError the kernel does not have it */
  text(name: string): string {
    const value = this.fields.get(name);
    if (value === undefined) throw new TargetError(`${this.file} has no ${name}`);
    return value;
  }

  /** The first number of a field. @throws TargetError it is none */
  number(name: string): number {
    const value = this.text(name).split("\t", 1)[0] ?? "";
    if (!DECIMAL.test(value))
      throw new TargetError(`${this.file}: ${name} is no number: ${value.slice(0, 40)}`);
    return Number(value);
  }

  /** A set of signals or capabilities. @throws TargetError it is none */
  mask(name: string): bigint {
    const value = this.text(name);
    if (!HEXADECIMAL.test(value))
      throw new TargetError(`${this.file}: ${name} is no mask: ${value.slice(0, 40)}`);
    return BigInt(`0x${value}`);
  }
}

/** Fields that every kernel has, and the first of those that parseStat gives. */
const LEAST_FIELDS = 39;
const FIRST_FIELD = 3;

/**
 * Fields of `/proc/TID/stat` after the name, so that index 0 is field 3 (state), a letter; all
 * others are numbers. The name may hold blanks, parentheses and newlines. proc_pid_stat(5).
 *
 * @param file for error messages
 * @throws TargetError it is something else
 */
export function parseStat(text: string, file: string): readonly string[] {
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .trimEnd()
    .split(" ");
  if (fields.length + FIRST_FIELD - 1 < LEAST_FIELDS)
    throw new TargetError(
      `${file} has ${fields.length + FIRST_FIELD - 1} fields, not ${LEAST_FIELDS} or more`,
    );
  const odd = fields.findIndex((field, index) => !(index === 0 ? /^[A-Za-z]$/ : DECIMAL).test(field));
  if (odd >= 0)
    throw new TargetError(
      `${file}: field ${odd + FIRST_FIELD} is not understood: ${(fields[odd] ?? "").slice(0, 40)}`,
    );
  return fields;
}
