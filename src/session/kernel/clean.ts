import { formatAddress, type Address } from "../../base/address.js";
import { KernelImage } from "../../symbols/kernel/image.js";
import { type Cleaned, cleanKernel } from "../../targets/gdb/kernel/clean.js";
import { GdbClient } from "../../targets/gdb/protocol/client.js";

/** What `--clean` has to say, and whether nothing is left. */
export interface CleanReport {
  readonly lines: readonly string[];
  readonly isClean: boolean;
}

/**
 * `--clean`: takes out what a killed session left in a kernel, and lets it go on.
 *
 * @param where see `--gdb`
 * @throws TargetError nobody is there, or it is another kernel than the image's
 */
export function cleanKernelAt(where: string, imagePath: string): CleanReport {
  using image = KernelImage.open(imagePath);
  using client = GdbClient.connect(where);
  const cleaned = cleanKernel(client, image);
  client.detach(client.threads()[0]?.process);
  return { lines: [sentence(cleaned), ...unclear(cleaned, image)], isClean: cleaned.unclear.length === 0 };
}

function sentence({ restored, gates, rewound, unclear }: Cleaned): string {
  if (restored.length === 0 && gates === 0 && unclear.length === 0) return "nothing was left in the kernel";
  const parts = [
    `breakpoints taken out: ${String(restored.length)}`,
    `exceptions led back: ${String(gates)}`,
    `processors put back: ${String(rewound)}`,
  ];
  return parts.join(", ");
}

function unclear(cleaned: Cleaned, image: KernelImage): string[] {
  return cleaned.unclear.map((vaddr) => {
    const symbol = image.symbolAt(vaddr);
    const place =
      symbol === undefined
        ? formatAddress(vaddr as number as Address)
        : `${symbol.name}+0x${symbol.offset.toString(16)}`;
    return `a breakpoint stays at ${place}: the kernel had written other instructions there, nobody knows which`;
  });
}
