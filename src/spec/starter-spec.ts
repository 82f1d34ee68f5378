import { stringify } from 'yaml';
import { partitionOfRegion } from '../util/arn.ts';
import * as patterns from './patterns.ts';
import { escapeReferences } from './variables.ts';

/** The values of a starter spec. All other fields keep their defaults. */
export interface StarterSpec {
  source: string;
  sourceRegion: string;
  sourceKey: string;
  destination: string;
  destinationRegion: string;
  destinationKey: string;
  prefix: string;
  name: string;
}

type StarterAnswers = Partial<StarterSpec>;

/** A question about one value of a starter spec. */
export interface StarterQuestion {
  key: keyof StarterSpec;
  /**
   * The option that gives the answer in advance. An option for both sides is used first for the source, then for the
   * destination.
   */
  flag: string;
  prompt: string;
  /** Returns the answer for an empty input. */
  defaultAnswer: (answers: StarterAnswers, userRegion: string) => string | undefined;
  /** Whether the default is a guess, which the user must see. */
  isGuess?: true;
  check: (answer: string, answers: StarterAnswers) => string | undefined;
}

/** The questions in order. A default can depend on earlier answers and on the Region of the user. */
export const STARTER_QUESTIONS: readonly StarterQuestion[] = [
  {
    key: 'source',
    flag: '--bucket',
    prompt: 'Source bucket',
    defaultAnswer: () => undefined,
    check: patterns.checkBucketNameFormat,
  },
  {
    key: 'sourceRegion',
    flag: '--region',
    prompt: 'Its Region',
    defaultAnswer: (_, userRegion) => userRegion,
    isGuess: true,
    check: patterns.checkRegion,
  },
  {
    key: 'sourceKey',
    flag: '--key',
    prompt: 'Its KMS key',
    defaultAnswer: ({ source }) => aliasForBucket(source),
    check: (answer, { sourceRegion }) => checkStarterKey(answer, sourceRegion),
  },
  {
    key: 'destination',
    flag: '--bucket',
    prompt: 'Destination bucket',
    defaultAnswer: ({ source = '' }) => ifAccepted(`${source}-replica`, patterns.checkBucketNameFormat),
    check: (answer, { source }) =>
      patterns.checkBucketNameFormat(answer) ??
      (answer === source ? 'a bucket cannot replicate to itself' : undefined),
  },
  {
    key: 'destinationRegion',
    flag: '--region',
    prompt: 'Its Region',
    defaultAnswer: ({ sourceRegion = '' }) =>
      SUGGESTED_REGIONS[partitionOfRegion(sourceRegion)]?.find((region) => region !== sourceRegion),
    isGuess: true,
    check: (answer, { sourceRegion = answer }) =>
      patterns.checkRegion(answer) ?? checkStarterRegion(answer, sourceRegion),
  },
  {
    key: 'destinationKey',
    flag: '--key',
    prompt: 'Its KMS key',
    defaultAnswer: ({ destination }) => aliasForBucket(destination),
    check: (answer, { destinationRegion }) => checkStarterKey(answer, destinationRegion),
  },
  {
    key: 'prefix',
    flag: '--prefix',
    prompt: 'Prefix of the objects to replicate',
    defaultAnswer: () => '',
    check: patterns.checkKeyPrefix,
  },
  {
    key: 'name',
    flag: '--name',
    prompt: 'Name of the spec',
    defaultAnswer: ({ source = '' }) => ifAccepted(source.replaceAll('.', '-'), patterns.checkDnsLabel),
    check: patterns.checkDnsLabel,
  },
];

/** Two distant, popular Regions of each partition. */
const SUGGESTED_REGIONS: Record<string, readonly string[]> = {
  aws: ['us-west-2', 'us-east-1'],
  'aws-cn': ['cn-northwest-1', 'cn-north-1'],
  'aws-us-gov': ['us-gov-west-1', 'us-gov-east-1'],
};

const ifAccepted = (text: string, check: patterns.TextCheck): string | undefined =>
  check(text) === undefined ? text : undefined;

/** Returns an alias with the name of the bucket. Dots become hyphens, because an alias cannot contain dots. */
const aliasForBucket = (bucket = ''): string => `alias/${bucket.replaceAll('.', '-')}`;

function checkStarterKey(key: string, region: string | undefined): string | undefined {
  if (patterns.KEY_ID_FORMAT.test(key))
    return 'a key id does not identify the Region and account of the key; use its ARN';
  const [, , keyRegion] = patterns.KEY_ARN_FORMAT.exec(key) ?? [];
  if (keyRegion !== undefined && region !== undefined && keyRegion !== region)
    return `the key is in ${keyRegion}, but its bucket is in ${region}; use a key in the Region of the bucket`;
  return patterns.checkKeyReference(key);
}

const checkStarterRegion = (region: string, sourceRegion: string): string | undefined =>
  partitionOfRegion(region) === partitionOfRegion(sourceRegion)
    ? undefined
    : `S3 does not replicate between partitions; ${sourceRegion} is in ${partitionOfRegion(sourceRegion)}`;

/**
 * Renders a spec for a first-time user: it omits optional fields and comments on fields that are not obvious. Editors
 * load the schema from `schemaUrl`.
 */
export const renderStarterSpec = (
  spec: StarterSpec,
  schemaUrl: string,
): string => `# yaml-language-server: $schema=${schemaUrl}
# A pair of buckets. S3 replicates new objects of the source, and encrypts each side with its own key.
# replikey creates buckets, keys and the role when absent. All other fields have safe defaults:
# reconcile explain BucketReplication lists the fields.
apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: ${yamlScalar(spec.name)} # unique; part of rule ids, tags, logs and metrics
spec:
  source:
    bucket: ${yamlScalar(spec.source)}
    region: ${spec.sourceRegion}
    key: ${yamlScalar(spec.sourceKey)} # an alias, or the ARN of a key, which replikey never changes
  destination:
    bucket: ${yamlScalar(spec.destination)}
    region: ${spec.destinationRegion}
    key: ${yamlScalar(spec.destinationKey)} # a key in the Region of this bucket
  rules:
    - prefix: ${yamlScalar(escapeReferences(spec.prefix))} # ${spec.prefix === '' ? 'all objects; "Tax/" selects the objects whose key begins with it' : 'the objects whose key begins with this, literally'}
`;

/** Quotes a text that YAML would otherwise parse as another type: a bucket name can be 2026. */
const yamlScalar = (text: string): string =>
  /^[\w./-]+$/.test(text) ? stringify(text).trimEnd() : JSON.stringify(text);
