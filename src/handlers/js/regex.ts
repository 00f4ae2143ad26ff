import { assertNever } from "../../base/assert-never.js";
import { type ByteSet, parseRegex, type RegexNode } from "../../ir/regex.js";
import type { ByteString } from "../../runtime/byte-string.js";

/** States of the deterministic one that are kept; when there are more, it begins anew from where it is. */
const MOST_KEPT = 1000;

/** One state of the nondeterministic automaton. Targets are indices; those of `split` cost no byte. */
type State =
  | { readonly kind: "byte"; readonly set: ByteSet; readonly next: number }
  | { readonly kind: "split"; readonly targets: readonly number[] }
  | { readonly kind: "start" | "end"; readonly next: number }
  | { readonly kind: "match" };

/** A set of states of the other automaton, after which it is known for some bytes where they lead. */
interface Kept {
  readonly states: readonly number[];
  /** A match ends here: what follows does not matter. */
  readonly matched: boolean;
  /** The string may end here and matches then. */
  readonly matchesAtEnd: boolean;
  /** By class of bytes. */
  readonly next: (Kept | undefined)[];
}

/**
 * A compiled regular expression that tells whether a string has a match. Strings come from targets,
 * which must not be able to make a handler run for long: the time is linear in the string, whatever
 * the pattern (states of a deterministic automaton, made when first needed). A state that was met
 * before costs 2 array reads a byte and allocates nothing.
 */
export class Regex {
  private readonly automaton: readonly State[];
  private readonly classes: Uint8Array;
  private readonly beginning: number;
  private first: Kept;
  private readonly kept = new Map<string, Kept>();

  /** @throws RegexProblem */
  constructor(readonly pattern: ByteString) {
    const builder = new Builder();
    this.beginning = builder.build(parseRegex(pattern));
    this.automaton = builder.states;
    this.classes = byteClasses(this.automaton);
    this.first = this.makeFirst();
  }

  /** Does any part of the string match? */
  test(text: ByteString): boolean {
    let state = this.first;
    for (let index = 0; index < text.length; index++) {
      if (state.matched) return true;
      const byte = text.charCodeAt(index);
      const known = state.next[this.classes[byte] as number];
      state = known ?? this.step(state, byte);
    }
    return state.matched || state.matchesAtEnd;
  }

  /** The only state in which `^` holds; no other one is it, whatever its set. */
  private makeFirst(): Kept {
    return this.make(this.closure([this.beginning], true, false), true);
  }

  private step(from: Kept, byte: number): Kept {
    const targets: number[] = [];
    for (const index of from.states) {
      const state = this.automaton[index] as State;
      if (state.kind === "byte" && state.set[byte] === 1) targets.push(state.next);
    }
    // A match may begin behind any byte.
    targets.push(this.beginning);
    const states = this.closure(targets, false, false);
    const key = states.join();
    let to = this.kept.get(key);
    if (to === undefined) {
      if (this.kept.size >= MOST_KEPT) this.forget();
      to = this.make(states, false);
      this.kept.set(key, to);
    }
    from.next[this.classes[byte] as number] = to;
    return to;
  }

  /** Lets go of all that was made; only the match at hand holds on to its own state for a byte longer. */
  private forget(): void {
    this.kept.clear();
    this.first = this.makeFirst();
  }

  private make(states: readonly number[], atStart: boolean): Kept {
    return {
      states,
      matched: this.matches(states),
      matchesAtEnd: this.matches(this.closure(states, atStart, true)),
      next: [],
    };
  }

  private matches(states: readonly number[]): boolean {
    return states.some((index) => this.automaton[index]?.kind === "match");
  }

  /** The states reached without a byte, in order; only those that a byte or the end leads on from. */
  private closure(from: readonly number[], atStart: boolean, atEnd: boolean): number[] {
    const seen = new Set<number>();
    const reached: number[] = [];
    const open = [...from];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      if (seen.has(index)) continue;
      seen.add(index);
      const state = this.automaton[index] as State;
      switch (state.kind) {
        case "split":
          open.push(...state.targets);
          break;
        case "start":
          if (atStart) open.push(state.next);
          break;
        case "end":
          if (atEnd) open.push(state.next);
          reached.push(index);
          break;
        case "byte":
        case "match":
          reached.push(index);
          break;
        default:
          assertNever(state);
      }
    }
    return reached.sort((one, other) => one - other);
  }
}

/** Thompson's construction, from the end of the pattern to its beginning: each part is told what follows it. */
class Builder {
  readonly states: State[] = [];

  /** @returns the state that the automaton begins in */
  build(node: RegexNode): number {
    return this.add(node, this.push({ kind: "match" }));
  }

  private add(node: RegexNode, next: number): number {
    switch (node.kind) {
      case "empty":
        return next;
      case "byte":
        return this.push({ kind: "byte", set: node.set, next });
      case "start":
      case "end":
        return this.push({ kind: node.kind, next });
      case "sequence":
        return node.parts.reduceRight((behind, part) => this.add(part, behind), next);
      case "choice":
        return this.push({ kind: "split", targets: node.options.map((option) => this.add(option, next)) });
      case "repeat":
        return this.repeat(node, next);
      default:
        return assertNever(node);
    }
  }

  private repeat({ body, least, most }: Extract<RegexNode, { kind: "repeat" }>, next: number): number {
    let entry = next;
    if (most === undefined) {
      const targets = [next];
      entry = this.push({ kind: "split", targets });
      targets.push(this.add(body, entry));
    } else {
      for (let count = least; count < most; count++) {
        entry = this.push({ kind: "split", targets: [this.add(body, entry), next] });
      }
    }
    for (let count = 0; count < least; count++) entry = this.add(body, entry);
    return entry;
  }

  private push(state: State): number {
    return this.states.push(state) - 1;
  }
}

/** Bytes that no set of the automaton tells apart share a class: rows of transitions stay short. */
function byteClasses(automaton: readonly State[]): Uint8Array {
  const sets = new Set(automaton.flatMap((state) => (state.kind === "byte" ? [state.set] : [])));
  const classes = new Uint8Array(256);
  let count = 1;
  for (const set of sets) {
    const split = new Map<number, number>();
    for (let byte = 0; byte < 256; byte++) {
      if (set[byte] !== 1) continue;
      const old = classes[byte] as number;
      let now = split.get(old);
      if (now === undefined) {
        // A class that lies in the set as a whole keeps its number: 256 are enough for ever.
        now = isWithin(classes, old, set) ? old : count++;
        split.set(old, now);
      }
      classes[byte] = now;
    }
  }
  return classes;
}

function isWithin(classes: Uint8Array, wanted: number, set: ByteSet): boolean {
  return classes.every((each, byte) => each !== wanted || set[byte] === 1);
}
