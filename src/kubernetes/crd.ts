import { stringify } from 'yaml';
import * as z from 'zod';
import { BACKFILL_CONDITION } from '../controller/conditions.ts';
import { SIDES } from '../spec/checks/pairs.ts';
import type { TextCheck } from '../spec/patterns.ts';
import { documentSchemas } from '../spec/schema.ts';
import { textCheckOf } from '../spec/schema-builders.ts';
import { CEL_RULES, type CelRule, type CelValidation, celOfNames, celOfText, re2Pattern } from './cel.ts';
import { API_GROUP, API_VERSION, RESOURCE_PLURALS, type ResourceKind } from './resources.ts';

/** JSON Schema, or a part of one. */
interface CrdSchema {
  type?: string;
  description?: string;
  properties?: Record<string, CrdSchema>;
  required?: string[];
  anyOf?: CrdSchema[];
  oneOf?: CrdSchema[];
  items?: CrdSchema;
  maxItems?: number;
  additionalProperties?: CrdSchema | boolean;
  maxProperties?: number;
  'x-kubernetes-validations'?: CelValidation[];
  /** Pattern that no valid text matches; not a keyword. */
  excludedPattern?: string;
  [keyword: string]: unknown;
}

interface PrinterColumn {
  name: string;
  type: string;
  jsonPath: string;
  priority?: number;
}

/** Renders the CustomResourceDefinitions as YAML, from the schema that validates spec files. */
export const renderCustomResourceDefinitions = (): string =>
  (Object.keys(RESOURCE_PLURALS) as ResourceKind[])
    .map((kind) => stringify(toCustomResourceDefinition(kind), { lineWidth: 0 }))
    .join('---\n');

const SHORT_NAMES: Partial<Record<ResourceKind, string[]>> = { BucketReplication: ['br'] };

const conditionJsonPath = (type: string, field: 'status' | 'reason' | 'message' = 'status'): string =>
  `.status.conditions[?(@.type=="${type}")].${field}`;
const READY_COLUMN: PrinterColumn = { name: 'Ready', type: 'string', jsonPath: conditionJsonPath('Ready') };
const MESSAGE_COLUMN: PrinterColumn = {
  name: 'Message',
  type: 'string',
  jsonPath: conditionJsonPath('Ready', 'message'),
  priority: 1,
};
const AGE_COLUMN: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** Columns of `kubectl get`. Only `-o wide` shows columns with a priority. */
const PRINTER_COLUMNS: Record<ResourceKind, PrinterColumn[]> = {
  BucketReplication: [
    READY_COLUMN,
    { name: 'Proven', type: 'string', jsonPath: conditionJsonPath('Proven') },
    { name: 'Verified', type: 'string', jsonPath: conditionJsonPath('Verified') },
    { name: 'Replicating', type: 'string', jsonPath: conditionJsonPath('Replicating') },
    { name: 'Drifted', type: 'string', jsonPath: conditionJsonPath('Drifted') },
    { name: 'Source', type: 'string', jsonPath: '.spec.source.bucket' },
    { name: 'Destination', type: 'string', jsonPath: '.spec.destination.bucket' },
    AGE_COLUMN,
    { name: 'Success', type: 'date', jsonPath: '.status.lastSuccess', priority: 1 },
    { name: 'Reason', type: 'string', jsonPath: conditionJsonPath('Ready', 'reason'), priority: 1 },
    MESSAGE_COLUMN,
    {
      name: 'Backfill',
      type: 'string',
      jsonPath: conditionJsonPath(BACKFILL_CONDITION, 'reason'),
      priority: 1,
    },
  ],
  Account: [READY_COLUMN, { name: 'Id', type: 'string', jsonPath: '.spec.id' }, AGE_COLUMN, MESSAGE_COLUMN],
  Guardrails: [READY_COLUMN, AGE_COLUMN, MESSAGE_COLUMN],
  Defaults: [READY_COLUMN, AGE_COLUMN, MESSAGE_COLUMN],
};

function toCustomResourceDefinition(kind: ResourceKind): object {
  const { description, properties = {} } = z.toJSONSchema(documentSchemas[kind], {
    target: 'draft-7',
    io: 'input',
    override: addTextRules,
  }) as CrdSchema;
  const spec = toStructuralSchema(properties.spec ?? {});
  const plural = RESOURCE_PLURALS[kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        ...(SHORT_NAMES[kind] && { shortNames: SHORT_NAMES[kind] }),
        categories: ['replikey'],
      },
      versions: [
        {
          name: API_VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: PRINTER_COLUMNS[kind],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object', properties: { name: nameSchemaOf(properties) } },
                spec: withCelRules(
                  kind === 'BucketReplication' ? withSideConflicts(withDefaultsAlternative(spec)) : spec,
                  CEL_RULES[kind],
                ),
                status: STATUS_SCHEMA,
              },
            },
          },
        },
      ],
    },
  };
}

/** Adds the rules of text checks to the schema of a text, and of a mapping with names and values that are texts. */
function addTextRules({ zodSchema, jsonSchema }: { zodSchema: object; jsonSchema: object }): void {
  const check = textCheckOf(zodSchema);
  if (check)
    Object.assign(jsonSchema, lengthsOf(check), {
      pattern: patternOf(check),
      excludedPattern: excludedPatternOf(check),
      [VALIDATIONS]: celOfText(check),
    });
  if (!(zodSchema instanceof z.ZodRecord)) return;
  const [nameCheck, valueCheck] = [textCheckOf(zodSchema.keyType), textCheckOf(zodSchema.valueType)];
  if (!nameCheck || !valueCheck) return;
  // CEL rules for each value of each mapping would exceed the cost that the API server allows. Patterns have no cost.
  Object.assign(jsonSchema, {
    additionalProperties: { type: 'string', ...lengthsOf(valueCheck), pattern: patternOf(valueCheck) },
    [VALIDATIONS]: celOfNames(nameCheck),
  });
}

/** Returns the first pattern of a text, for schemas that cannot have rules. */
const patternOf = ({ rules }: TextCheck): string | undefined =>
  rules.flatMap((rule) => ('matches' in rule ? [re2Pattern(rule.matches)] : []))[0];

/** Returns the first pattern that no valid text matches, for schemas that cannot have rules. */
const excludedPatternOf = ({ rules }: TextCheck): string | undefined =>
  rules.flatMap((rule) => ('excludes' in rule ? [re2Pattern(rule.excludes)] : []))[0];

/** Returns the limits of the length of a text. They also bound the cost of its rules, which the API server estimates. */
const lengthsOf = ({ rules }: TextCheck): Record<string, number> =>
  Object.assign(
    {},
    ...rules.map((rule) => {
      if ('minLength' in rule) return { minLength: rule.minLength };
      if ('maxLength' in rule) return { maxLength: rule.maxLength };
      // A character has at least one byte.
      return 'maxBytes' in rule ? { maxLength: rule.maxBytes } : {};
    }),
  );

/** Returns the schema of the name. A schema can restrict the name of a resource by its pattern only. */
function nameSchemaOf({ metadata }: Record<string, CrdSchema>): CrdSchema {
  const { [VALIDATIONS]: _, maxLength: __, ...schema } = metadata?.properties?.name ?? {};
  return toStructuralSchema(schema);
}

const VALIDATIONS = 'x-kubernetes-validations';

/** Keywords for constraints on a value that a structural schema supports. */
const STRUCTURAL_KEYWORDS = [
  VALIDATIONS,
  'enum',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
] as const;

/**
 * Number of places in one resource up to which each can have CEL rules: all tags of all rules. The API server multiplies
 * the estimated cost of a rule by the limits of the lists and mappings around it, and refuses a definition above its
 * limit.
 */
const MAX_PLACES_WITH_RULES = 10_000;

/**
 * Converts a schema, which applies to a number of places in one resource, to a structural schema. The API server does
 * not fill in defaults: replikey could then not detect which fields a resource leaves to its Defaults, and a second
 * apply of the same manifest would show a change.
 */
function toStructuralSchema(schema: CrdSchema, places = 1): CrdSchema {
  const { type, description, properties, required, anyOf, items, additionalProperties } = schema;
  const { maxItems = 1, maxProperties = 1 } = schema;
  const isAffordable = places * maxProperties <= MAX_PLACES_WITH_RULES;
  const descriptionKeyword = description === undefined ? {} : { description };
  if (anyOf) return { ...descriptionKeyword, ...toTextOrMapping(anyOf) };
  return {
    ...descriptionKeyword,
    type: type ?? '',
    // A rule has a better message than a pattern.
    ...constraintsOf(schema, VALIDATIONS in schema && isAffordable ? 'pattern' : VALIDATIONS),
    ...(required && { required }),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, toStructuralSchema(field, places)]),
      ),
    }),
    ...(items && { items: toStructuralSchema(items, places * maxItems) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: toStructuralSchema(additionalProperties, places * maxProperties),
    }),
  };
}

/** Returns the constraints on a value, without one of the keywords. */
const constraintsOf = (schema: CrdSchema, omitted: (typeof STRUCTURAL_KEYWORDS)[number]): CrdSchema =>
  Object.fromEntries(
    STRUCTURAL_KEYWORDS.flatMap((keyword) =>
      keyword !== omitted && schema[keyword] !== undefined ? [[keyword, schema[keyword]]] : [],
    ),
  );

/** Constraints that no text meets, and that apply to no value of another type. */
const NO_TEXT = { minLength: 1, maxLength: 0 };
/** Constraints that no mapping meets, and that apply to no value of another type. */
const NO_MAPPING = { minProperties: 1, maxProperties: 0 };

/**
 * Returns the schema of a field that is either a text or a mapping, for example a key. A structural schema has no type
 * for such a field, so the API server keeps unknown fields and evaluates no rules in it. But keywords of one type do not
 * apply to values of another: a pattern restricts the text, and `properties` the mapping.
 */
function toTextOrMapping(alternatives: readonly CrdSchema[]): CrdSchema {
  const text = alternatives.find(({ type }) => type === 'string') ?? {};
  const { properties = {}, oneOf = [] } = alternatives.find(({ type }) => type === 'object') ?? {};
  const exclusive = oneOf.flatMap(({ required = [] }) => required);
  const conflicts = [...(exclusive.length > 0 ? [exclusive] : []), ...KEY_CONFLICTS];
  return {
    'x-kubernetes-preserve-unknown-fields': true,
    ...constraintsOf(text, VALIDATIONS),
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, field]) => [name, toSchemaWithoutRules(field)]),
    ),
    allOf: [
      { not: { ...NO_TEXT, ...NO_MAPPING } },
      ...(text.excludedPattern ? [exclude(text.excludedPattern, NO_MAPPING)] : []),
      ...conflicts.map((required) => ({ not: { ...NO_TEXT, required } })),
    ],
    ...(exclusive.length > 0 && { anyOf: [NO_MAPPING, ...exclusive.map((name) => ({ required: [name] }))] }),
  };
}

/** Converts a schema within a field that has no type, where the API server refuses rules: patterns take their place. */
function toSchemaWithoutRules({ [VALIDATIONS]: _, items, ...schema }: CrdSchema): CrdSchema {
  return {
    ...toStructuralSchema(schema),
    ...exclude(schema.excludedPattern),
    ...(items && { items: toSchemaWithoutRules(items) }),
  };
}

/** Fields of a key that exclude each other: replikey never changes a key that is given by ARN. */
const KEY_CONFLICTS = ['description', 'rotation', 'rotationPeriodInDays'].map((name) => ['arn', name]);

/** Conflicts between values of a side of a pair. Defaults can have them, because a pair can override a value. */
const SIDE_CONFLICTS: readonly CrdSchema[] = [
  {
    required: ['key'],
    properties: {
      key: {
        ...NO_TEXT,
        required: ['rotation', 'rotationPeriodInDays'],
        properties: { rotation: { enum: [false] } },
      },
    },
  },
  {
    required: ['key', 'defaultEncryption'],
    properties: {
      key: { ...NO_TEXT, required: ['bucketKey'], properties: { bucketKey: { enum: [true] } } },
      defaultEncryption: { enum: ['DSSE-KMS', 'SSE-S3'] },
    },
  },
];

const exclude = (pattern: string | undefined, constraints: CrdSchema = {}): CrdSchema =>
  pattern === undefined ? {} : { not: { ...constraints, pattern } };

/** Makes required fields optional for a resource with `defaults`, because Defaults can supply these fields. */
function withDefaultsAlternative({ required = [], properties = {}, ...otherKeywords }: CrdSchema): CrdSchema {
  const fields = Object.entries(properties);
  const requirements = fields.flatMap(([name, field]) =>
    field.required && required.includes(name) ? [[name, nestedRequirementsOf(field)] as const] : [],
  );
  return {
    ...otherKeywords,
    properties: Object.fromEntries(
      fields.map(([name, field]) => [name, required.includes(name) ? withoutRequirements(field) : field]),
    ),
    anyOf: [{ required: ['defaults'] }, { required, properties: Object.fromEntries(requirements) }],
  };
}

/** Returns the required fields of a mapping, and the alternatives of its fields. */
function nestedRequirementsOf({ required, properties = {} }: CrdSchema): CrdSchema {
  const alternatives = Object.entries(properties).flatMap(([name, { anyOf }]) =>
    anyOf ? [[name, { anyOf }] as const] : [],
  );
  return {
    ...(required && { required }),
    ...(alternatives.length > 0 && { properties: Object.fromEntries(alternatives) }),
  };
}

function withoutRequirements({ required: _, properties, ...schema }: CrdSchema): CrdSchema {
  if (!properties) return schema;
  const fields = Object.entries(properties).map(([name, { anyOf: __, ...field }]) => [name, field]);
  return { ...schema, properties: Object.fromEntries(fields) };
}

/** Adds the conflicts between values to both sides of a pair. */
function withSideConflicts({ properties = {}, ...schema }: CrdSchema): CrdSchema {
  const allOf = SIDE_CONFLICTS.map((conflict) => ({ not: conflict }));
  const sides = Object.entries(properties).map(([name, field]) => [
    name,
    SIDES.includes(name as (typeof SIDES)[number]) ? { ...field, allOf } : field,
  ]);
  return { ...schema, properties: Object.fromEntries(sides) };
}

/** Adds each CEL rule to the part of the schema at the rule's path. */
function withCelRules(schema: CrdSchema, rules: readonly CelRule[]): CrdSchema {
  const ownRules = rules.filter(({ path }) => path.length === 0);
  const { properties, items } = schema;
  const nestedRulesOf = (name: string) =>
    rules.filter(({ path }) => path[0] === name).map((rule) => ({ ...rule, path: rule.path.slice(1) }));
  return {
    ...schema,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, withCelRules(field, nestedRulesOf(name))]),
      ),
    }),
    ...(items && { items: withCelRules(items, nestedRulesOf('[]')) }),
    ...(ownRules.length > 0 && {
      [VALIDATIONS]: [
        ...(schema[VALIDATIONS] ?? []),
        ...ownRules.map(({ rule, message }) => ({ rule, message })),
      ],
    }),
  };
}

const STATUS_SCHEMA: CrdSchema = {
  type: 'object',
  description: 'Result of the last pass; written by replikey.',
  properties: {
    observedGeneration: {
      type: 'integer',
      format: 'int64',
      description: 'Generation of the resource that the conditions describe.',
    },
    lastSuccess: {
      type: 'string',
      format: 'date-time',
      description: 'Time of the last successful pass; up to an hour old.',
    },
    conditions: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: {
        type: 'object',
        required: ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
        properties: {
          type: {
            type: 'string',
            description: 'Ready, Proven, Verified, Replicating, Drifted, BackfillComplete or Events.',
            maxLength: 316,
          },
          status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
          observedGeneration: { type: 'integer', format: 'int64' },
          lastTransitionTime: { type: 'string', format: 'date-time' },
          reason: {
            type: 'string',
            description: 'Reason for the status, one word for programs.',
            maxLength: 1024,
          },
          message: { type: 'string', description: 'Explanation for people.', maxLength: 32768 },
        },
      },
    },
  },
};
