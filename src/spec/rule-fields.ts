import type {
  Destination,
  ReplicationRule,
  ReplicationRuleFilter,
  SourceSelectionCriteria,
} from '@aws-sdk/client-s3';
import * as z from 'zod';
import { compareCodeUnits, omitUndefined } from '../util/canonical-json.ts';
import * as patterns from './patterns.ts';
import { integerSchema, nameSchema, textMapSchema, textSchema } from './schema-builders.ts';

/**
 * A field of a rule. The YAML schema, the types, the resolution, the comparison, the import and the reference
 * documentation of rules derive from these rows.
 */
interface RuleField {
  /** Name in YAML; absent: the key of the row. */
  yamlName?: string;
  /** Schema of the YAML field, with its description and default. */
  schema: z.ZodType;
  /** Returns the value of a declared rule; absent: the declared value as it is. */
  resolve?(declaration: FilterDeclaration): unknown;
  /** Reads the value from an S3 rule; absent: the field is not part of the comparison. */
  fromS3?(rule: ReplicationRule): unknown;
  /** Returns the part of an S3 rule that holds the value. */
  toS3?(value: unknown, rule: object): RulePart;
  /** Returns the YAML for an S3 rule; absent: the value from `fromS3`, unless it is the default. */
  toYaml?(rule: ReplicationRule): unknown;
  /** Whether a change of the value selects objects that the rule did not select before. */
  selectsMore?(value: unknown, previous: unknown): boolean;
}

/** The two forms of a rule's filter: the short form and the long form. */
interface FilterDeclaration {
  prefix?: string | undefined;
  literal?: boolean | undefined;
  filter?: { prefix?: string | undefined; tags?: Tags | undefined } | undefined;
}

type Tags = Record<string, string>;
type RulePart = Partial<Omit<ReplicationRule, 'Destination'>> & { Destination?: Partial<Destination> };

/** The maximum number of tags of an object. */
export const MAX_FILTER_TAGS = 10;

/** The largest priority that S3 accepts. */
export const MAX_RULE_PRIORITY = 2_147_483_647;

const prefixSchema = textSchema(
  patterns.checkKeyPrefix,
  'Selects the objects whose key begins with this text, literally; "" selects all objects.',
  {
    examples: ['Tax/'],
  },
).optional();

/** One row per field, in the order of the YAML schema. */
const RULE_FIELDS = {
  name: {
    schema: nameSchema('Name of the rule, part of its id; absent: derived from the first prefix.').optional(),
  },
  id: {
    schema: textSchema(
      patterns.checkRuleId,
      'ID of an existing rule in S3, which replikey then manages; absent: replikey/ with the names of spec and rule.',
    ).optional(),
    toYaml: (rule) => rule.ID,
  },
  prefix: {
    schema: prefixSchema,
    resolve: ({ prefix, filter }) => prefix ?? filter?.prefix ?? '',
    fromS3: prefixOfS3Rule,
    toYaml: (rule) => (Object.keys(tagsOfS3Rule(rule)).length > 0 ? undefined : prefixOfS3Rule(rule)),
    selectsMore: (prefix: string, previous: string) => !prefix.startsWith(previous),
  },
  literal: {
    schema: z
      .boolean()
      .describe('Whether an asterisk in the prefix is part of the keys: S3 has no wildcards in prefixes.')
      .default(false),
    resolve: ({ literal }) => literal || undefined,
    toYaml: (rule) => prefixOfS3Rule(rule).includes('*') || undefined,
  },
  tags: {
    yamlName: 'filter' as const,
    schema: z
      .strictObject({
        prefix: prefixSchema,
        tags: textMapSchema(
          patterns.checkTagKey,
          patterns.checkTagValue,
          'Selects the objects that have all of these tags, at most 10.',
          { maxProperties: MAX_FILTER_TAGS },
        ).optional(),
      })
      .describe('Long form of prefix, with tags.')
      .optional(),
    resolve: ({ filter }): Tags => filter?.tags ?? {},
    fromS3: tagsOfS3Rule,
    // S3 takes the prefix and the tags as one filter.
    toS3: (tags: Tags, { prefix }: { prefix: string }) => ({ Filter: toS3Filter(prefix, tags) }),
    toYaml(rule) {
      const tags = tagsOfS3Rule(rule);
      return Object.keys(tags).length > 0 ? { prefix: prefixOfS3Rule(rule), tags } : undefined;
    },
    selectsMore: (tags: Tags, previous: Tags) =>
      Object.entries(previous).some(([key, value]) => tags[key] !== value),
  },
  enabled: {
    schema: z.boolean().describe('Whether the rule replicates; false pauses it.').default(true),
    fromS3: (rule) => rule.Status === 'Enabled',
    toS3: (enabled: boolean) => ({ Status: toStatus(enabled) }),
  },
  priority: {
    schema: integerSchema(
      0,
      MAX_RULE_PRIORITY,
      'Priority among rules with the same destination, where the highest number wins; absent: replikey assigns one, and keeps it.',
    ).optional(),
    fromS3: (rule) => rule.Priority,
    toS3: (priority: number | undefined) => ({ Priority: priority }),
  },
  deleteMarkerReplication: {
    schema: z
      .boolean()
      .describe('Whether S3 replicates delete markers; not available with tags.')
      .default(false),
    // S3 requires this block in every rule with a filter.
    ...statusBlock(['DeleteMarkerReplication'], (isOn) => ({ Status: toStatus(isOn) })),
    toYaml: (rule) => isV1Rule(rule) || isBlockEnabled(rule, ['DeleteMarkerReplication']) || undefined,
  },
  replicationTimeControl: {
    schema: z
      .boolean()
      .describe(
        'S3 Replication Time Control: replication within 15 minutes, for an additional charge; requires metrics.',
      )
      .default(false),
    ...statusBlock(['Destination', 'ReplicationTime'], (isOn) =>
      isOn ? { Status: 'Enabled', Time: { Minutes: 15 } } : undefined,
    ),
  },
  metrics: {
    schema: z
      .boolean()
      .describe('Replication metrics and failure events; without them, S3 does not report failures.')
      .default(true),
    // S3 refuses a threshold without replication time control.
    ...statusBlock(['Destination', 'Metrics'], (isOn, { replicationTimeControl }) =>
      isOn
        ? { Status: 'Enabled', ...(replicationTimeControl ? { EventThreshold: { Minutes: 15 } } : {}) }
        : undefined,
    ),
  },
  sseKmsEncryptedObjects: {
    schema: z
      .boolean()
      .describe('Whether S3 replicates objects encrypted with KMS keys; if false, S3 skips them.')
      .default(true),
    ...statusBlock(['SourceSelectionCriteria', 'SseKmsEncryptedObjects']),
    selectsMore: (isOn: boolean, previous: boolean) => isOn && !previous,
  },
  replicaModifications: {
    schema: z
      .boolean()
      .describe(
        'Whether S3 syncs changes of tags and ACLs of replicas back; requires rules in both directions.',
      )
      .default(false),
    ...statusBlock(['SourceSelectionCriteria', 'ReplicaModifications']),
  },
} satisfies Record<string, RuleField>;

type RuleFields = typeof RULE_FIELDS;
type RuleShape = {
  [Key in keyof RuleFields as RuleFields[Key] extends { yamlName: infer Name extends string }
    ? Name
    : Key]: RuleFields[Key]['schema'];
};
type WithoutUndefined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

const rows = Object.entries<RuleField>(RULE_FIELDS);

/** The YAML fields of a rule. */
export const ruleShape = Object.fromEntries(
  rows.map(([key, { yamlName = key, schema }]) => [yamlName, schema]),
) as RuleShape;

/** A rule as declared in YAML, with defaults. */
export type RuleDeclaration = z.output<z.ZodObject<RuleShape>>;

/** A resolved rule: the declared fields, with the filter in one form. */
export interface Rule
  extends WithoutUndefined<Omit<RuleDeclaration, 'name' | 'prefix' | 'literal' | 'filter'>> {
  name: string;
  /** The spec declares neither name nor id: an existing rule in S3 keeps its id when the prefix changes. */
  unnamed?: true;
  /** `''` for every key. */
  prefix: string;
  /** The prefix contains an asterisk, which is part of the keys. */
  literal?: true;
  /** Tags that an object must all have. */
  tags: Tags;
}

/** The fields of a rule that S3 stores. */
export type RuleSettings = Omit<Rule, 'name' | 'id' | 'unnamed' | 'literal'>;

export function resolveRule(declaration: RuleDeclaration, name: string): Rule {
  const declared = new Map<string, unknown>(Object.entries(declaration));
  const values = rows.map(([key, { resolve }]) => [key, resolve ? resolve(declaration) : declared.get(key)]);
  const unnamed = declaration.name === undefined && declaration.id === undefined ? true : undefined;
  return omitUndefined({ ...Object.fromEntries(values), name, unnamed }) as Rule;
}

/** The prefix that a declared rule selects. */
export const prefixOfDeclaration = RULE_FIELDS.prefix.resolve;

/** Reads the settings of a rule from either version of S3's form. An absent block and a Disabled block are equal. */
export function settingsFromS3(rule: ReplicationRule): RuleSettings {
  const values = rows.flatMap(([key, { fromS3 }]) => (fromS3 ? [[key, fromS3(rule)]] : []));
  return omitUndefined(Object.fromEntries(values)) as RuleSettings;
}

/** Returns the part of an S3 rule that holds the settings. */
export function settingsToS3(settings: RuleSettings): RulePart {
  const values = new Map<string, unknown>(Object.entries(settings));
  const merged: Record<string, unknown> = {};
  for (const [key, { toS3 }] of rows) {
    for (const [name, value] of Object.entries(toS3?.(values.get(key), settings) ?? {})) {
      merged[name] = typeof value === 'object' ? { ...(merged[name] as object), ...value } : value;
    }
  }
  return merged;
}

/** Returns the YAML for a rule in S3, without fields that have their default value. */
export function declarationFromS3(rule: ReplicationRule): Record<string, unknown> {
  const fields = rows.map(([key, { yamlName = key, schema, fromS3, toYaml }]) => {
    if (toYaml) return [yamlName, toYaml(rule)];
    const value = fromS3?.(rule);
    return [yamlName, value === schema.parse(undefined) ? undefined : value];
  });
  return omitUndefined(Object.fromEntries(fields));
}

/** Returns whether a rule, if enabled, selects objects that it did not select before. */
export function selectsMoreObjects(
  settings: Omit<RuleSettings, 'enabled'>,
  previous: Omit<RuleSettings, 'enabled'>,
): boolean {
  const values = new Map<string, unknown>(Object.entries(settings));
  const previousValues = new Map<string, unknown>(Object.entries(previous));
  return rows.some(([key, { selectsMore }]) => selectsMore?.(values.get(key), previousValues.get(key)));
}

/**
 * Returns whether a rule uses version 1 of the S3 rule schema, which cannot be combined with the version that replikey
 * writes.
 */
export const isV1Rule = (rule: ReplicationRule): boolean => rule.Filter === undefined;

/** Path of a block with a status in an S3 rule. */
type BlockPath =
  | [keyof ReplicationRule]
  | ['SourceSelectionCriteria', keyof SourceSelectionCriteria]
  | ['Destination', keyof Destination];

/**
 * Returns the conversion of a field that S3 stores as a block with a status. If the field is off, the rule has no such
 * block, unless `toBlock` returns one.
 */
function statusBlock(
  path: BlockPath,
  toBlock: (isOn: boolean, rule: { replicationTimeControl: boolean }) => object | undefined = (isOn) =>
    isOn ? { Status: 'Enabled' } : undefined,
) {
  return {
    fromS3: (rule: ReplicationRule): boolean => isBlockEnabled(rule, path),
    toS3(isOn: boolean, rule: { replicationTimeControl: boolean }): RulePart {
      const block: object | undefined = toBlock(isOn, rule);
      return block ? path.reduceRight((inner, key) => ({ [key]: inner }), block) : {};
    },
  };
}

function isBlockEnabled(rule: ReplicationRule, path: BlockPath): boolean {
  const block = path.reduce<unknown>(
    (outer, key) => (outer as Record<string, unknown> | undefined)?.[key],
    rule,
  );
  return (block as { Status?: unknown } | undefined)?.Status === 'Enabled';
}

const toStatus = (isOn: boolean) => (isOn ? 'Enabled' : 'Disabled');

function prefixOfS3Rule({ Filter, Prefix }: ReplicationRule): string {
  return Filter?.And?.Prefix ?? Filter?.Prefix ?? Prefix ?? '';
}

function tagsOfS3Rule({ Filter }: ReplicationRule): Tags {
  const tags = Filter?.And?.Tags ?? (Filter?.Tag ? [Filter.Tag] : []);
  return Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
}

/** Builds the filter of an S3 rule. S3 uses `And` for two predicates or more. */
function toS3Filter(prefix: string, tags: Tags): ReplicationRuleFilter {
  const tagList = Object.entries(tags)
    .sort(([a], [b]) => compareCodeUnits(a, b))
    .map(([Key, Value]) => ({ Key, Value }));
  const [first, ...rest] = tagList;
  if (!first) return { Prefix: prefix };
  if (rest.length === 0 && prefix === '') return { Tag: first };
  return { And: prefix === '' ? { Tags: tagList } : { Prefix: prefix, Tags: tagList } };
}
