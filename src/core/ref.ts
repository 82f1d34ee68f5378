import { mapItems, mapValues } from '../util/canonical-json.ts';
import type { Id, Ref } from './resource.ts';

export const ref = (id: Id, attr = 'arn'): Ref => ({ $ref: id, attr });

export function isRef(value: unknown): value is Ref {
  return typeof value === 'object' && value !== null && '$ref' in value;
}

/** Returns the ids of all resources that a value refers to. */
export function collectRefs(value: unknown): Id[] {
  const ids: Id[] = [];
  const visit = (node: unknown): void => {
    if (isRef(node)) ids.push(node.$ref);
    else if (typeof node === 'object' && node !== null) Object.values(node).forEach(visit);
  };
  visit(value);
  return ids;
}

/** Replaces the references whose target is known by their values. Other references and values stay as they are. */
export function resolveRefs<T>(value: T, lookUpRef: (ref: Ref) => string | undefined): T {
  if (isRef(value)) return (lookUpRef(value) ?? value) as T;
  if (Array.isArray(value)) return mapItems(value, (item) => resolveRefs(item, lookUpRef)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return mapValues(value, (item) => resolveRefs(item, lookUpRef));
}
