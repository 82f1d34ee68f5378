import type {
  Destination,
  ReplicationRule,
  ReplicationRuleFilter,
  ReplicationRuleNotOperator,
  SourceSelectionCriteria,
} from '@aws-sdk/client-s3';
import * as z from 'zod';
import { compareCodeUnits, omitUndefined, sortKeys, toSortedSet } from '../util/canonical-json.ts';
import { RULE_METRICS_PRICE_TEXT } from '../util/prices.ts';
import * as patterns from './patterns.ts';
import { integerSchema, nameSchema, textMapSchema, textSchema } from './schema-builders.ts';

/**
 * A field of a rule. The YAML schema, the types, the resolution, the comparison, the import and the reference
 * documentation of rules derive from these rows.
 */
interface RuleField {
  /** Name in YAML; absent: the key of the row. */
  yamlName?: string;
  /** Schema of the YAML field, with its description and default; absent: the value is part of the field of another row. */
  schema?: z.ZodType;
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
  filter?:
    | { prefix?: string | undefined; tags?: Tags | undefined; exclude?: ExclusionDeclaration | undefined }
    | undefined;
}

type Tags = Record<string, string>;

interface ExclusionDeclaration {
  prefixes?: readonly string[] | undefined;
  tags?: Tags | undefined;
}

/** Objects that a rule excludes from its selection: those that match any of these. Prefixes and values are sorted sets. */
export interface Exclusion {
  prefixes: string[];
  /** Values by tag key. */
  tags: Record<string, string[]>;
}
type RulePart = Partial<Omit<ReplicationRule, 'Destination'>> & { Destination?: Partial<Destination> };

/** The maximum number of tags of an object. */
export const MAX_FILTER_TAGS = 10;

/** A limit of replikey: AWS documents no maximum number of exclusions. */
const MAX_EXCLUSIONS = 1_000;

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
    toYaml: (rule) => (needsLongForm(rule) ? undefined : prefixOfS3Rule(rule)),
    selectsMore: (prefix: string, previous: string) => !prefix.startsWith(previous),
  },
  literal: {
    schema: z
      .boolean()
      .describe('Whether an asterisk in the prefix is part of the keys: S3 has no wildcards in prefixes.')
      .default(false),
    resolve: ({ literal }) => literal || undefined,
    toYaml: (rule) =>
      [prefixOfS3Rule(rule), ...(exclusionOfS3Rule(rule)?.prefixes ?? [])].some((text) =>
        text.includes('*'),
      ) || undefined,
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
        exclude: z
          .strictObject({
            prefixes: z
              .array(textSchema(patterns.checkKeyPrefix))
              .max(MAX_EXCLUSIONS)
              .describe('Excludes the objects whose key begins with one of these texts, literally.')
              .optional(),
            tags: textMapSchema(
              patterns.checkTagKey,
              patterns.checkTagValue,
              'Excludes the objects that have one of these tags.',
              { maxProperties: MAX_EXCLUSIONS },
            ).optional(),
          })
          .describe('Excludes objects that the prefix and the tags select: those that match any of these.')
          .optional(),
      })
      .describe('Long form of prefix, with tags and exclusions.')
      .optional(),
    resolve: ({ filter }): Tags => filter?.tags ?? {},
    fromS3: tagsOfS3Rule,
    // S3 takes the prefix, the tags and the exclusion as one filter.
    toS3: (tags: Tags, { prefix, exclude }: { prefix: string; exclude?: Exclusion }) => ({
      Filter: toS3Filter(prefix, tags, exclude),
    }),
    toYaml(rule) {
      if (!needsLongForm(rule)) return undefined;
      const [tags, exclude] = [tagsOfS3Rule(rule), exclusionOfS3Rule(rule)];
      return omitUndefined({
        prefix: prefixOfS3Rule(rule),
        tags: Object.keys(tags).length > 0 ? tags : undefined,
        exclude: exclude && exclusionToYaml(exclude),
      });
    },
    selectsMore: (tags: Tags, previous: Tags) =>
      Object.entries(previous).some(([key, value]) => tags[key] !== value),
  },
  exclude: {
    resolve: ({ filter }) =>
      toExclusion(filter?.exclude?.prefixes ?? [], Object.entries(filter?.exclude?.tags ?? {})),
    fromS3: exclusionOfS3Rule,
    selectsMore: (exclude: Exclusion | undefined, previous: Exclusion | undefined) =>
      previous !== undefined && !excludesAll(previous, exclude),
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
      .describe(
        `Replication metrics and failure events; without them, S3 does not report failures. CloudWatch charges ${RULE_METRICS_PRICE_TEXT}.`,
      )
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
    : RuleFields[Key] extends { schema: z.ZodType }
      ? Key
      : never]: RuleFields[Key] extends { schema: infer Schema } ? Schema : never;
};
type WithoutUndefined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

const rows = Object.entries<RuleField>(RULE_FIELDS);

/** The YAML fields of a rule. */
export const ruleShape = Object.fromEntries(
  rows.flatMap(([key, { yamlName = key, schema }]) => (schema ? [[yamlName, schema]] : [])),
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
  exclude?: Exclusion;
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
  const fields = rows.flatMap(([key, { yamlName = key, schema, fromS3, toYaml }]) => {
    if (!schema) return [];
    if (toYaml) return [[yamlName, toYaml(rule)]];
    const value = fromS3?.(rule);
    return [[yamlName, value === schema.parse(undefined) ? undefined : value]];
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

/** Returns whether S3 encrypts replicas under the multi-Region keys that are related to those of the objects. */
export const usesRelatedKey = ({ Destination }: ReplicationRule): boolean =>
  Destination?.EncryptionConfiguration?.UseSourceMultiRegionKey?.Status === 'Enabled';

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

/** Reads the exclusion of a rule, in either place where S3 has it. */
export function exclusionOfS3Rule({ Filter }: ReplicationRule): Exclusion | undefined {
  const not = Filter?.And?.Not ?? Filter?.Not;
  if (!not) return undefined;
  const tags = [...(not.Tag ? [not.Tag] : []), ...(not.Or?.Tags ?? [])];
  return toExclusion(
    [...(not.Prefix === undefined ? [] : [not.Prefix]), ...(not.Or?.Prefixes ?? [])],
    tags.map(({ Key = '', Value = '' }) => [Key, Value]),
  );
}

/** Returns the normal form of an exclusion; undefined if it excludes nothing. */
function toExclusion(
  prefixes: readonly string[],
  tags: readonly (readonly [key: string, value: string])[],
): Exclusion | undefined {
  if (prefixes.length === 0 && tags.length === 0) return undefined;
  const values = new Map<string, string[]>();
  for (const [key, value] of tags) values.set(key, toSortedSet([...(values.get(key) ?? []), value]));
  return { prefixes: toSortedSet(prefixes), tags: sortKeys(Object.fromEntries(values)) };
}

/** The fields that an exclusion has in YAML. A spec declares one value per tag key (`isExclusionDeclarable`). */
const exclusionToYaml = ({ prefixes, tags }: Exclusion): ExclusionDeclaration =>
  omitUndefined({
    prefixes: prefixes.length > 0 ? prefixes : undefined,
    tags:
      Object.keys(tags).length > 0
        ? Object.fromEntries(Object.entries(tags).map(([key, values]) => [key, values[0] ?? '']))
        : undefined,
  });

/** Returns whether a spec can declare the exclusion of a rule: not with several values of one tag key. */
export const isExclusionDeclarable = (rule: ReplicationRule): boolean =>
  Object.values(exclusionOfS3Rule(rule)?.tags ?? {}).every((values) => values.length === 1);

const needsLongForm = (rule: ReplicationRule): boolean =>
  Object.keys(tagsOfS3Rule(rule)).length > 0 || exclusionOfS3Rule(rule) !== undefined;

/** Returns the reason why an exclusion excludes an object, or undefined. */
export function exclusionReason(
  exclusion: Exclusion | undefined,
  key: string,
  hasTag: (key: string, value: string) => boolean,
): string | undefined {
  const prefix = exclusion?.prefixes.find((candidate) => key.startsWith(candidate));
  if (prefix !== undefined) return `the rule excludes the prefix ${prefix}`;
  const tag = tagsOfExclusion(exclusion).find(([name, value]) => hasTag(name, value));
  return tag && `the rule excludes objects with the tag ${tag.join('=')}`;
}

export const tagsOfExclusion = (exclusion: Exclusion | undefined): [key: string, value: string][] =>
  Object.entries(exclusion?.tags ?? {}).flatMap(([key, values]) =>
    values.map((value): [string, string] => [key, value]),
  );

/** Returns whether a prefix selects only keys that one of some prefixes selects. */
export const isUnderAny = (prefix: string, prefixes: readonly string[] = []): boolean =>
  prefixes.some((candidate) => prefix.startsWith(candidate));

/** Returns whether every object that one exclusion excludes is excluded by another. */
export const excludesAll = (inner: Exclusion, outer: Exclusion | undefined): boolean =>
  inner.prefixes.every((prefix) => isUnderAny(prefix, outer?.prefixes)) &&
  tagsOfExclusion(inner).every(([key, value]) =>
    tagsOfExclusion(outer).some(([outerKey, outerValue]) => outerKey === key && outerValue === value),
  );

/**
 * Builds the filter of an S3 rule. S3 uses `And` for two predicates or more, and `Not` for the exclusion (SDK reference,
 * ReplicationRuleFilter).
 */
function toS3Filter(prefix: string, tags: Tags, exclude: Exclusion | undefined): ReplicationRuleFilter {
  const tagList = sortedTags(Object.entries(tags));
  const [first, ...rest] = tagList;
  const not = exclude && { Not: toS3Not(exclude) };
  if (!first && !not) return { Prefix: prefix };
  if (!first && prefix === '') return not ?? {};
  if (first && rest.length === 0 && prefix === '' && !not) return { Tag: first };
  return {
    And: { ...(prefix === '' ? {} : { Prefix: prefix }), ...(first ? { Tags: tagList } : {}), ...not },
  };
}

/** S3 takes one prefix, one tag, or several of them in `Or`. */
function toS3Not(exclude: Exclusion): ReplicationRuleNotOperator {
  const { prefixes } = exclude;
  const tagList = sortedTags(tagsOfExclusion(exclude));
  const [[prefix], [tag]] = [prefixes, tagList];
  if (prefixes.length + tagList.length > 1)
    return {
      Or: { ...(prefixes.length > 0 ? { Prefixes: prefixes } : {}), ...(tag ? { Tags: tagList } : {}) },
    };
  return tag ? { Tag: tag } : { Prefix: prefix };
}

const sortedTags = (tags: readonly (readonly [string, string])[]) =>
  [...tags].sort(([a], [b]) => compareCodeUnits(a, b)).map(([Key, Value]) => ({ Key, Value }));
