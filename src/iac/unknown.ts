import type { Fact, UnreadFact } from '../core/facts.ts';

/** A value that a plan or template does not contain. `reason` names the resource and the attribute. */
export class Unknown {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

export const isUnknown = (value: unknown): value is Unknown => value instanceof Unknown;

/** Returns a fact whose value depends on values that are not known; `undefined` for the value if all are known. */
export const unreadBecause = (unknowns: readonly Unknown[]): UnreadFact | undefined =>
  unknowns.length === 0 ? undefined : { unread: unknowns.map(({ reason }) => reason).join(', ') };

/** Returns a known value, or the fact that it could not be read. */
export const toFact = <T>(value: T | Unknown): Fact<T> =>
  isUnknown(value) ? { unread: value.reason } : value;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isUnknown(value);

/** Returns a list as it is, and every other value as the empty list. */
export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** Returns a text that is not empty. The provider writes the empty text for an attribute that is not set. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
