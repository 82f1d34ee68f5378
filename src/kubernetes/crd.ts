import { stringify } from 'yaml';
import * as z from 'zod';
import { documents } from '../spec/schema.ts';
import { CROSS_FIELD, type CrossField } from './cross-field.ts';
import { GROUP, PLURALS, type ResourceKind, VERSION } from './resources.ts';

/** A part of a JSON Schema. */
interface Schema {
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  anyOf?: Schema[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  [keyword: string]: unknown;
}

interface Column {
  name: string;
  type: string;
  jsonPath: string;
  priority?: number;
}

/** The CustomResourceDefinitions, as YAML, from the schema that validates files. */
export const definitions = (): string =>
  (Object.keys(PLURALS) as ResourceKind[])
    .map((kind) => stringify(definitionOf(kind), { lineWidth: 0 }))
    .join('---\n');

const SHORT_NAMES: Partial<Record<ResourceKind, string[]>> = { BucketReplication: ['br'] };

const condition = (type: string, field: 'status' | 'reason' | 'message' = 'status'): string =>
  `.status.conditions[?(@.type=="${type}")].${field}`;
const READY: Column = { name: 'Ready', type: 'string', jsonPath: condition('Ready') };
const WHY: Column = { name: 'Message', type: 'string', jsonPath: condition('Ready', 'message'), priority: 1 };
const AGE: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** What `kubectl get` shows; with a priority only `-o wide`. */
const COLUMNS: Record<ResourceKind, Column[]> = {
  BucketReplication: [
    READY,
    { name: 'Proven', type: 'string', jsonPath: condition('Proven') },
    { name: 'Verified', type: 'string', jsonPath: condition('Verified') },
    { name: 'Drifted', type: 'string', jsonPath: condition('Drifted') },
    { name: 'Source', type: 'string', jsonPath: '.spec.source.bucket' },
    { name: 'Destination', type: 'string', jsonPath: '.spec.destination.bucket' },
    AGE,
    { name: 'Success', type: 'date', jsonPath: '.status.lastSuccess', priority: 1 },
    { name: 'Reason', type: 'string', jsonPath: condition('Ready', 'reason'), priority: 1 },
    WHY,
  ],
  Account: [READY, { name: 'Id', type: 'string', jsonPath: '.spec.id' }, AGE, WHY],
  Guardrails: [READY, AGE, WHY],
  Defaults: [READY, AGE, WHY],
};

function definitionOf(kind: ResourceKind): object {
  const { description, properties = {} } = z.toJSONSchema(documents[kind], {
    target: 'draft-7',
    io: 'input',
  }) as Schema;
  const spec = structural(properties.spec ?? {});
  const plural = PLURALS[kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
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
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: COLUMNS[kind],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object', properties: { name: nameOf(properties) } },
                spec: judged(kind === 'BucketReplication' ? orDefaults(spec) : spec, CROSS_FIELD[kind]),
                status: STATUS,
              },
            },
          },
        },
      ],
    },
  };
}

const nameOf = ({ metadata }: Record<string, Schema>): Schema => structural(metadata?.properties?.name ?? {});

/** What a structural schema may say of a value beside its form. */
const KEPT = [
  'enum',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
] as const;

/**
 * The same as a structural schema. What is a text or a mapping has no type there: such a field (a key is one) is taken
 * as it is, and judged by replikey. Fallbacks are not filled in by the API server: nobody could tell then what a
 * resource leaves to its Defaults, and whoever applies the same again would find it changed.
 */
function structural(schema: Schema): Schema {
  const { type, description, properties, required, anyOf, items, additionalProperties } = schema;
  const about = description === undefined ? {} : { description };
  if (anyOf) return { ...about, 'x-kubernetes-preserve-unknown-fields': true };
  return {
    ...about,
    type: type ?? '',
    ...Object.fromEntries(KEPT.flatMap((keyword) => (keyword in schema ? [[keyword, schema[keyword]]] : []))),
    ...(required && { required }),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, structural(field)]),
      ),
    }),
    ...(items && { items: structural(items) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: structural(additionalProperties),
    }),
  };
}

/** What must be there may come from Defaults instead. */
function orDefaults({ required = [], properties = {}, ...rest }: Schema): Schema {
  const fields = Object.entries(properties);
  const demands = fields.flatMap(([name, { required: inner }]) =>
    inner && required.includes(name) ? [[name, { required: inner }] as const] : [],
  );
  return {
    ...rest,
    properties: Object.fromEntries(fields.map(([name, { required: _, ...field }]) => [name, field])),
    anyOf: [{ required: ['defaults'] }, { required, properties: Object.fromEntries(demands) }],
  };
}

/** With the rules for fields together, each where it speaks of. */
function judged(schema: Schema, rules: readonly CrossField[]): Schema {
  const here = rules.filter(({ at }) => at.length === 0);
  const { properties, items } = schema;
  const within = (name: string) =>
    rules.filter(({ at }) => at[0] === name).map((one) => ({ ...one, at: one.at.slice(1) }));
  return {
    ...schema,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, judged(field, within(name))]),
      ),
    }),
    ...(items && { items: judged(items, within('[]')) }),
    ...(here.length > 0 && {
      'x-kubernetes-validations': here.map(({ rule, message }) => ({ rule, message })),
    }),
  };
}

const STATUS: Schema = {
  type: 'object',
  description: 'What became of it; written by replikey.',
  properties: {
    observedGeneration: {
      type: 'integer',
      format: 'int64',
      description: 'The generation of the resource that this is about.',
    },
    lastSuccess: {
      type: 'string',
      format: 'date-time',
      description: 'When AWS was last seen to be as declared; up to an hour old.',
    },
    conditions: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: {
        type: 'object',
        required: ['type', 'status', 'lastTransitionTime', 'reason', 'message'],
        properties: {
          type: { type: 'string', description: 'Ready, Proven, Verified or Drifted.', maxLength: 316 },
          status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
          observedGeneration: { type: 'integer', format: 'int64' },
          lastTransitionTime: { type: 'string', format: 'date-time' },
          reason: { type: 'string', description: 'One word, for machines.', maxLength: 1024 },
          message: { type: 'string', description: 'For people.', maxLength: 32768 },
        },
      },
    },
  },
};
