/** Where a kprobe goes. */
export type Where =
  | {
      readonly kind: "symbol";
      readonly symbol: string;
      readonly offset: number;
      readonly module: string | undefined;
    }
  | { readonly kind: "address"; readonly address: bigint };
