/** One thing that the doctor looked at. */
export interface Finding {
  /** `ok`: as it should be. `no`: keeps Trapline from probing. `note`: something is less than it could be. */
  readonly state: "ok" | "no" | "note";
  readonly what: string;
  /** What to do; for every `no`, and for a `note` where something can be done. */
  readonly remedy?: string;
}

/** One line a finding, the remedy behind an arrow, the conclusion last. */
export function report(findings: readonly Finding[]): string {
  const lines = findings.map(
    ({ state, what, remedy }) => `${state.padEnd(4)} ${what}${remedy === undefined ? "" : ` -> ${remedy}`}`,
  );
  const blocking = findings.filter((finding) => finding.state === "no").length;
  const conclusion =
    blocking === 0
      ? "This machine can probe programs."
      : `This machine cannot probe programs: ${blocking} ${blocking === 1 ? "line says" : "lines say"} no.`;
  return [...lines, "", conclusion, ""].join("\n");
}
