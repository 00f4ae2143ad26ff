import { type Address, addressOf, formatAddress, offsetBy } from "../base/address.js";
import { TargetError, UsageError } from "../base/errors.js";
import type { SpaceId } from "../targets/target.js";
import type { Where } from "./api/protocol.js";
import type { Engine } from "./engine.js";
import type { Image } from "./programs.js";

export interface Place {
  readonly address: Address;
  /** First byte there in the program's file; undefined where the address is in no image. */
  readonly fileByte: number | undefined;
}

/**
 * Finds the address that a kprobe names.
 *
 * @throws TargetError no such symbol in this space, or an address where no program is
 */
export function locate(engine: Engine, space: SpaceId, where: Where): Place {
  return where.kind === "address" ? byAddress(engine, space, where.address) : bySymbol(engine, space, where);
}

function byAddress(engine: Engine, space: SpaceId, value: bigint): Place {
  const address = addressOf(value);
  if (address === undefined) throw new UsageError(`0x${value.toString(16)} is no canonical address`);
  const image = engine.programs.at(space, address);
  if (image === undefined) throw new TargetError(`${formatAddress(address)} is in no program or library of the target`);
  return { address, fileByte: fileByte(image, address) };
}

function bySymbol(engine: Engine, space: SpaceId, where: Extract<Where, { kind: "symbol" }>): Place {
  for (const image of engine.programs.images(space)) {
    if (where.module !== undefined && !image.elf.matchesModule(where.module, image.path)) continue;
    const symbol = image.elf.textSymbol(where.symbol);
    if (symbol === undefined) continue;
    const entry = symbol.type === "ifunc" ? engine.programs.selected(image, symbol) : imageAddress(image, symbol.vaddr);
    if (entry === undefined) continue;
    const address = offsetBy(entry, where.offset);
    return { address, fileByte: fileByte(image, address) };
  }
  const inModule = where.module === undefined ? "in the program and its libraries" : `in ${where.module}`;
  throw new TargetError(`no function ${where.symbol} ${inModule}`, {
    remedy: "libraries that are loaded later can be probed after they were loaded",
  });
}

/** Where an address of the image's file is in memory. */
export function imageAddress(image: Image, vaddr: number): Address {
  return offsetBy(vaddr as Address, image.bias);
}

export function fileByte(image: Image, address: Address): number | undefined {
  return image.elf.byteAt(address - image.bias);
}
