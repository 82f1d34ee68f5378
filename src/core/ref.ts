import type { Id, Ref } from './resource.ts';

export const ref = (id: Id, attr = 'arn'): Ref => ({ $ref: id, attr });

export function isRef(value: unknown): value is Ref {
  return typeof value === 'object' && value !== null && '$ref' in value;
}

/** Every resource that a value refers to. */
export function refsIn(value: unknown): Id[] {
  if (isRef(value)) return [value.$ref];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(refsIn);
}

/** Put values in place of the references whose target is known; leave the others as they are. */
export function resolve<T>(value: T, known: (ref: Ref) => string | undefined): T {
  if (isRef(value)) return (known(value) ?? value) as T;
  if (Array.isArray(value)) return value.map((item) => resolve(item, known)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, known)])) as T;
}
