import type { Point, TextPoint } from "../points/point.js";

/** A point that another one matched, spelt out. */
export interface Match {
  readonly text: string;
  /** Where its instruction is, as in the image; undefined where it is not at one place, or not known yet. */
  readonly place: string | undefined;
  /** `$file:struct file*`: the context variables that are known there. */
  readonly variables?: readonly string[] | undefined;
  /** The key of the code that is there, where handlers with context variables are made for codes. */
  readonly code?: string;
}

/** Why a kind of target has no such point, and what to do. */
export interface Foreign {
  readonly why: string;
  readonly remedy: string;
}

/** What can be said of points before anything runs: from files. */
export interface KnownPoints extends Disposable {
  /** Undefined for points that targets of this kind may have. */
  foreign(point: Point): Foreign | undefined;
  /** Does a point match anything? Undefined where only the running target can tell. */
  matches(point: TextPoint): boolean | undefined;
  /** @throws ProbeRefused a statement that is no instruction's beginning, so far as files tell */
  refuse(point: TextPoint): void;
  /**
   * The points that a point matches, spelt out.
   *
   * @param text the point as it was written: what is said where there is no more to be known
   */
  matchesOf(point: Point, text: string): readonly Match[];
}
