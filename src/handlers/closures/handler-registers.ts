import { type RegisterFile, type RegisterName, REGISTERS } from "../../arch/x86_64/registers.js";

/**
 * Registers as handlers see them: `registers.rdi`, 64 bits, unsigned; writable, and written back
 * when the handler returns.
 */
export type HandlerRegisters = Record<RegisterName, bigint> & {
  read(name: RegisterName): bigint;
  write(name: RegisterName, value: bigint): void;
};

/** A view of a register file by name. */
export function makeHandlerRegisters(file: RegisterFile): HandlerRegisters {
  const view = {
    read: (name: RegisterName) => file.read(name),
    write: (name: RegisterName, value: bigint) => {
      file.write(name, value);
    },
  };
  for (const name of REGISTERS) {
    Object.defineProperty(view, name, {
      enumerable: true,
      get: () => file.read(name),
      set: (value: bigint) => {
        file.write(name, value);
      },
    });
  }
  // Every name of the table was just defined.
  return view as HandlerRegisters;
}
