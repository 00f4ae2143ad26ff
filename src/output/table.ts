import type { ProbeReport } from "./report.js";

interface Column {
  readonly heading: string;
  readonly align: "left" | "right";
  readonly cell: (probe: ProbeReport) => string;
}

const right = (heading: string, cell: (probe: ProbeReport) => string): Column => ({
  heading,
  align: "right",
  cell,
});

/** The columns of `-t`, in order. The probe point comes last, because it may be of any length. */
const COLUMNS: readonly Column[] = [
  { heading: "tier", align: "left", cell: (probe) => probe.tier },
  right("hits", (probe) => String(probe.hits)),
  right("missed", (probe) => String(probe.missed)),
  right("retries", (probe) => String(probe.retries)),
  right("fenced", (probe) => String(probe.fencedFaults)),
  right("handler", (probe) => String(probe.handlerFaults)),
  right("instruction", (probe) => String(probe.instructionFaults)),
  right("min", (probe) => duration(probe.time?.min)),
  right("avg", (probe) => duration(probe.time?.avg)),
  right("max", (probe) => duration(probe.time?.max)),
  {
    heading: "probe",
    align: "left",
    cell: (probe) => (probe.source === undefined ? probe.point : `${probe.point} (${probe.source})`),
  },
];

/**
 * The table of `-t`: a line a probe, under SystemTap's heading. `fenced`, `handler` and `instruction`
 * count faults; the times are those of handlers.
 */
export function probeTable(probes: readonly ProbeReport[]): string {
  const rows = [
    COLUMNS.map((column) => column.heading),
    ...probes.map((probe) => COLUMNS.map((column) => column.cell(probe))),
  ];
  const widths = COLUMNS.map((_, index) => Math.max(...rows.map((row) => (row[index] ?? "").length)));
  const lines = rows.map((row) =>
    row
      .map((cell, index) => aligned(cell, index, widths))
      .join("  ")
      .trimEnd(),
  );
  return `----- probe hit report:\n${lines.join("\n")}\n`;
}

function aligned(cell: string, index: number, widths: readonly number[]): string {
  const width = widths[index] ?? 0;
  return COLUMNS[index]?.align === "right" ? cell.padStart(width) : cell.padEnd(width);
}

const UNITS = ["ns", "us", "ms", "s"] as const;

/** Three digits and a unit: `870ns`, `5.94us`, `12.3ms`; `-` for none. */
export function duration(nanoseconds: number | undefined): string {
  if (nanoseconds === undefined) return "-";
  let value = nanoseconds;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const decimals = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(decimals)}${UNITS[unit] ?? ""}`;
}
