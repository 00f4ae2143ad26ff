import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/** A Debian package that some tests need: one entry of test/needs.json. */
export interface Need {
  readonly package: string;
  /** A command in `$PATH`, or the absolute path of a file. */
  readonly provides: string;
  readonly why: string;
}

const table = JSON.parse(
  readFileSync(new URL("../../../test/needs.json", import.meta.url), "utf8"),
) as readonly Need[];

/**
 * What the table names and this machine does not have.
 *
 * @public asked by scripts/lib/debian.mjs
 */
export function missingNeeds(): Need[] {
  return table.filter(({ provides }) => !isThere(provides));
}

/**
 * For the options of a test that needs Debian packages: skips it where one is missing, saying which.
 *
 *     test("a C++ exception passes through a return probe", needs("g++"), async () => { … });
 *
 * @param packages names from test/needs.json
 * @throws Error a package is not in the table, so that `npm test` would not install it
 */
export function needs(...packages: readonly string[]): { readonly skip: string | false } {
  const missing = packages.filter((name) => {
    const need = table.find((entry) => entry.package === name);
    if (need === undefined) throw new Error(`${name} is not in test/needs.json: add it there`);
    return !isThere(need.provides);
  });
  return {
    skip: missing.length === 0 ? false : `needs ${missing.join(", ")}: apt-get install ${missing.join(" ")}`,
  };
}

function isThere(provides: string): boolean {
  const candidates = isAbsolute(provides)
    ? [provides]
    : (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, provides));
  return candidates.some((path) => {
    try {
      accessSync(path, isAbsolute(provides) ? constants.R_OK : constants.X_OK);
      return true;
    } catch {
      // Not there, or not for us: the next folder may have it.
      return false;
    }
  });
}
