import { readFileSync } from "node:fs";

/** The version that the nearest package.json above this file states. */
export function packageVersion(): string {
  for (let folder = new URL("./", import.meta.url); ; folder = new URL("../", folder)) {
    const text = readIfThere(new URL("package.json", folder));
    const version = text === undefined ? undefined : (JSON.parse(text) as { version?: unknown }).version;
    if (typeof version === "string") return version;
    if (folder.pathname === "/") throw new Error("the package.json of trapline is missing");
  }
}

function readIfThere(file: URL): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
