/** A place in a script's text. Lines and columns count from 1, as SystemTap counts them. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `FILE:LINE:COLUMN`. */
export function formatPosition(position: Position): string {
  return `${position.file}:${String(position.line)}:${String(position.column)}`;
}
