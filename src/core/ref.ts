import { mapped, mappedList } from '../canonical.ts';
import type { Id, Ref } from './resource.ts';

export const ref = (id: Id, attr = 'arn'): Ref => ({ $ref: id, attr });

export function isRef(value: unknown): value is Ref {
  return typeof value === 'object' && value !== null && '$ref' in value;
}

/** Every resource that a value refers to. */
export function refsIn(value: unknown): Id[] {
  const found: Id[] = [];
  const look = (one: unknown): void => {
    if (isRef(one)) found.push(one.$ref);
    else if (typeof one === 'object' && one !== null) Object.values(one).forEach(look);
  };
  look(value);
  return found;
}

/** Put values in place of the references whose target is known; leave the others, and all else, as they are. */
export function resolve<T>(value: T, known: (ref: Ref) => string | undefined): T {
  if (isRef(value)) return (known(value) ?? value) as T;
  if (Array.isArray(value)) return mappedList(value, (item) => resolve(item, known)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return mapped(value, (item) => resolve(item, known));
}
