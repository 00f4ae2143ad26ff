/** A bug that a maintainer of the core could make. */
export interface Mutation {
  /** What it does, in plain words. */
  readonly bug: string;
  /** Where, in src/probes. */
  readonly file: string;
  /** Source text that occurs there once. */
  readonly find: string;
  readonly replace: string;
}
