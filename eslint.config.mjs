// @ts-check
import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  // The consumer of the package test is compiled where the package is installed, nowhere else.
  globalIgnores(["build", "dist", "test/package/consumer"]),
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        project: ["tsconfig.json", "test/tsconfig.json", "scripts/tsconfig.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      // Names and strings of strangers' programs are full of control characters; we look for them.
      "no-control-regex": "off",
      eqeqeq: "error",
      "prefer-const": "error",
      "max-lines": ["error", { max: 500, skipBlankLines: true, skipComments: true }],
      // A default of `assertNever` does not excuse a missing case: both are wanted.
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: false, requireDefaultForNonUnion: true },
      ],
      // `${count} probes` reads well and cannot go wrong.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // A `!` says nothing about why; an `as` stands with its reason, or a check does.
      "@typescript-eslint/non-nullable-type-assertion-style": "off",
      // Loops that wait for stops leave by `return`.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // `return this.stop(thread)` in a function of type void is how a switch hands over.
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidOperator: true, ignoreVoidReturningFunctions: true },
      ],
      // A method that implements an interface has the interface's parameters; `using` holds, it need not be read.
      "@typescript-eslint/no-unused-vars": [
        "error",
        { args: "all", argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreUsingDeclarations: true },
      ],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/explicit-module-boundary-types": "error",
    },
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      // What a reader sees goes through output/; the command line writes to its streams.
      "no-console": "error",
    },
  },
  {
    files: ["src/arch/**/*.ts", "src/handlers/native/**/*.ts"],
    rules: {
      // The decoder's enumerations have thousands of members, and a question about instructions or expressions
      // concerns a few kinds of many: a default stands for the rest of them.
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: true },
      ],
    },
  },
  {
    files: ["test/**/*.ts", "examples/**/*.ts", "bench/**/*.ts"],
    rules: {
      // node:test collects what test() returns by itself.
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", name: ["test", "it", "describe", "suite"], package: "node:test" },
          ],
        },
      ],
      // A handler that does nothing is a handler.
      "@typescript-eslint/no-empty-function": "off",
    },
  },
  {
    files: ["**/*.mjs"],
    rules: {
      // Types stand in JSDoc there, and `npm run lint` checks them with the compiler.
      "@typescript-eslint/explicit-module-boundary-types": "off",
      "no-undef": "off",
    },
  },
);
