import * as z from 'zod';
import * as patterns from './patterns.ts';

/** The checks by the schemas that `textSchema` returned, for schemas in other languages. */
const textChecks = new WeakMap<object, patterns.TextCheck>();

/** Returns the check of a schema that `textSchema` returned. */
export const textCheckOf = (schema: object): patterns.TextCheck | undefined => textChecks.get(schema);

/** Returns a schema of a text that a check accepts, or rejects with the violated rule. */
export const textSchema = (
  check: patterns.TextCheck,
  description?: string,
  metadata: Record<string, unknown> = {},
) => {
  const schema = z
    .string()
    .superRefine((value, context) => {
      const rule = check(value);
      if (rule) context.addIssue({ code: 'custom', message: rule, params: { subject: check.subject } });
    })
    .meta({
      ...(description === undefined ? {} : { description }),
      ...metadata,
      // Editors show this message instead of the pattern. It has the violated rule of a text that no pattern accepts.
      ...(metadata.pattern === undefined
        ? {}
        : { patternErrorMessage: `invalid ${check.subject}: ${check(' ')}` }),
    });
  textChecks.set(schema, check);
  return schema;
};

/**
 * Returns a schema of a mapping from names to texts, with a check for each. `checks` compares the number of names with
 * the maximum, with a message in words.
 */
export const textMapSchema = (
  checkKey: patterns.TextCheck,
  checkValue: patterns.TextCheck,
  description: string,
  metadata: { maxProperties?: number } = {},
) => z.record(textSchema(checkKey), textSchema(checkValue)).meta({ description, ...metadata });

/** Returns a schema of a name that is a DNS label. */
export const nameSchema = (description: string) =>
  textSchema(patterns.checkDnsLabel, description, {
    pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
    examples: ['tax'],
  });

/** Returns a schema of a whole number in a range, with a message in words. */
export function integerSchema(minimum: number, maximum: number, description: string) {
  return z
    .number()
    .superRefine((value, context) => {
      if (Number.isInteger(value) && value >= minimum && value <= maximum) return;
      context.addIssue({
        code: 'custom',
        message: `use a whole number from ${minimum} to ${maximum}`,
        params: { subject: 'number' },
      });
    })
    .meta({ description, type: 'integer', minimum, maximum });
}
