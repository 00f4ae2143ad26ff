/**
 * The floors of the house, top to bottom, as CONTRIBUTING.md says: a folder may import what stands below
 * it, never what stands above. `src/index.ts`, the public door, stands between cli and session.
 */
const FLOORS = [
  "cli",
  "index",
  "session",
  "output",
  "script",
  "handlers",
  "runtime",
  "ir",
  "probes",
  "targets",
  "arch",
  "symbols",
  "base",
];

/** @param {string} floor */
const pathOf = (floor) => (floor === "index" ? "^src/index\\.ts$" : `^src/${floor}/`);

/** Packages that have one place in the house: nobody else depends on how they work. */
const ONE_PLACE = [
  { package: "koffi", place: "^src/targets/", why: "system calls are the targets' business" },
  { package: "fzstd", place: "^src/symbols/kernel/payload/", why: "kernels are what is packed here" },
  { package: "iced-x86", place: "^src/arch/", why: "instructions are arch's business" },
  { package: "commander", place: "^src/cli/", why: "arguments are the command line's business" },
];

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...FLOORS.slice(1).map((floor, index) => ({
      name: `floor-${floor}`,
      comment: `${floor} stands below ${FLOORS.slice(0, index + 1).join(", ")} and does not know them`,
      severity: /** @type {const} */ ("error"),
      from: { path: pathOf(floor) },
      to: { path: FLOORS.slice(0, index + 1).map(pathOf) },
    })),
    {
      name: "a-floor-for-everything",
      comment: "every source has a floor: a new folder is entered in FLOORS where it belongs",
      severity: "error",
      from: {},
      to: { path: "^src/", pathNot: FLOORS.map(pathOf) },
    },
    {
      name: "probes-know-no-system",
      comment: "the core knows targets/target.ts; which operating system is behind it, it does not",
      severity: "error",
      from: { path: "^src/(probes|runtime|ir|handlers|script|output)/" },
      to: { path: "^src/targets/[^/]+/" },
    },
    ...ONE_PLACE.map(({ package: name, place, why }) => ({
      name: `one-place-for-${name}`,
      comment: why,
      severity: /** @type {const} */ ("error"),
      from: { path: "^src/", pathNot: place },
      to: { path: `^node_modules/${name}/` },
    })),
    {
      name: "no-cycles",
      comment: "a reader follows imports downward and never comes back up",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphans",
      comment: "imports nothing, imported by nobody: not part of the program",
      severity: "error",
      from: { orphan: true, path: "^src/", pathNot: "^src/(index|cli/main)\\.ts$" },
      to: {},
    },
    {
      name: "src-stands-alone",
      comment: "what is shipped does not import what is not",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|bench|examples|scripts)/" },
    },
    {
      name: "src-has-its-dependencies",
      comment: "what is shipped imports dependencies, not devDependencies",
      severity: "error",
      from: { path: "^src/" },
      to: {
        dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "deprecated"],
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "resolvable",
      comment: "what is imported is there",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(build|dist|test/package/consumer)/" },
    // An import of types alone is an import: it tells what a floor knows.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
    },
  },
};
