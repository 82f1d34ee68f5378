import { isRef } from '../core/ref.ts';
import { escapeUnprintable } from '../util/escape.ts';

/** A value as a plan shows it: references are known only after apply. */
export function valueText(value: unknown): string {
  if (value === undefined) return '(none)';
  if (isRef(value)) return '(known after apply)';
  if (typeof value === 'string') return value === '' ? '""' : escapeUnprintable(value);
  if (Array.isArray(value))
    return value.length === 1 ? valueText(value[0]) : `[${value.map(valueText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return `{${fieldLines(value).join(', ')}}`;
  return String(value);
}

/** The fields of a value, `status: Enabled`. What is off or empty says nothing that the reader needs. */
export const fieldLines = (value: object): string[] =>
  Object.entries(value)
    .filter(([, item]) => item !== false && JSON.stringify(item) !== '{}')
    .map(([key, item]) => `${escapeUnprintable(key)}: ${valueText(item)}`);
