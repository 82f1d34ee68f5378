import { stringify } from 'yaml';
import * as names from './names.ts';
import { literal } from './references.ts';

/** What a first spec says; all else is left to its defaults. */
export interface FirstSpec {
  source: string;
  sourceRegion: string;
  sourceKey: string;
  destination: string;
  destinationRegion: string;
  destinationKey: string;
  prefix: string;
  name: string;
}

type Known = Partial<FirstSpec>;

/** One thing that a first spec needs. */
export interface Question {
  key: keyof FirstSpec;
  /** The option that says it beforehand: first of the source, then of the destination. */
  flag: string;
  ask: string;
  /** What an answer that says nothing means. */
  offer: (known: Known, home: string) => string | undefined;
  /** Whether what is offered is a guess: somebody must see it then. */
  isGuess?: true;
  check: (answer: string, known: Known) => string | undefined;
}

/** In the order in which they are asked. What is offered may follow from what is known; `home` is the Region of the user. */
export const QUESTIONS: readonly Question[] = [
  {
    key: 'source',
    flag: '--bucket',
    ask: 'Source bucket',
    offer: () => undefined,
    check: names.bucketName,
  },
  {
    key: 'sourceRegion',
    flag: '--region',
    ask: 'Its Region',
    offer: (_, home) => home,
    isGuess: true,
    check: names.region,
  },
  {
    key: 'sourceKey',
    flag: '--key',
    ask: 'Its KMS key',
    offer: ({ source }) => aliasOf(source),
    check: (answer, { sourceRegion }) => keyIn(answer, sourceRegion),
  },
  {
    key: 'destination',
    flag: '--bucket',
    ask: 'Destination bucket',
    offer: ({ source = '' }) => fitting(`${source}-replica`, names.bucketName),
    check: (answer, { source }) =>
      names.bucketName(answer) ?? (answer === source ? 'a bucket cannot replicate to itself' : undefined),
  },
  {
    key: 'destinationRegion',
    flag: '--region',
    ask: 'Its Region',
    offer: ({ sourceRegion = '' }) =>
      REGIONS[names.partition(sourceRegion)]?.find((one) => one !== sourceRegion),
    isGuess: true,
    check: (answer, { sourceRegion = answer }) => names.region(answer) ?? elsewhere(answer, sourceRegion),
  },
  {
    key: 'destinationKey',
    flag: '--key',
    ask: 'Its KMS key',
    offer: ({ destination }) => aliasOf(destination),
    check: (answer, { destinationRegion }) => keyIn(answer, destinationRegion),
  },
  {
    key: 'prefix',
    flag: '--prefix',
    ask: 'Prefix of what is replicated',
    offer: () => '',
    check: names.keyPrefix,
  },
  {
    key: 'name',
    flag: '--name',
    ask: 'Name of the spec',
    offer: ({ source = '' }) => fitting(source.replaceAll('.', '-'), names.dnsLabel),
    check: names.dnsLabel,
  },
];

/** Two Regions of each partition: far apart, and where most people are. */
const REGIONS: Record<string, readonly string[]> = {
  aws: ['us-west-2', 'us-east-1'],
  'aws-cn': ['cn-northwest-1', 'cn-north-1'],
  'aws-us-gov': ['us-gov-west-1', 'us-gov-east-1'],
};

const fitting = (text: string, check: names.Check): string | undefined =>
  check(text) === undefined ? text : undefined;

/** An alias that is named as the bucket is; aliases have no dots. */
const aliasOf = (bucket = ''): string => `alias/${bucket.replaceAll('.', '-')}`;

function keyIn(key: string, region: string | undefined): string | undefined {
  if (names.KEY_ID.test(key)) return 'an id alone says neither Region nor account: write the ARN of the key';
  const [, , home] = names.KEY_ARN.exec(key) ?? [];
  if (home !== undefined && region !== undefined && home !== region)
    return `the key is in ${home} and its bucket in ${region}: S3 takes keys of the bucket's Region alone`;
  return names.keyReference(key);
}

const elsewhere = (region: string, other: string): string | undefined =>
  names.partition(region) === names.partition(other)
    ? undefined
    : `S3 does not replicate from one partition to another: ${other} is in ${names.partition(other)}`;

/** A spec that teaches: what may be left out is left out, and what is not obvious is said. `schema`: where editors find it. */
export const firstSpec = (
  spec: FirstSpec,
  schema: string,
): string => `# yaml-language-server: $schema=${schema}
# A pair of buckets: new objects of the source are replicated, encrypted in each place under a key of its own.
# Buckets, keys and the role are created where they do not exist yet. All else has a safe default:
# reconcile explain BucketReplication lists what may stand here.
apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: ${scalar(spec.name)} # unique; stands in the ids of rules, in tags, logs and metrics
spec:
  source:
    bucket: ${scalar(spec.source)}
    region: ${spec.sourceRegion}
    key: ${scalar(spec.sourceKey)} # an alias; or the ARN of a key, which is never altered then
  destination:
    bucket: ${scalar(spec.destination)}
    region: ${spec.destinationRegion}
    key: ${scalar(spec.destinationKey)} # in the Region of its bucket: KMS keys do not leave theirs
  rules:
    - prefix: ${scalar(literal(spec.prefix))} # ${spec.prefix === '' ? 'every object; with "Tax/", only those whose key begins with it' : 'only objects whose key begins with this, literally'}
`;

/** With quotes where it would be something else than a text without: a bucket may be called 2026. */
const scalar = (text: string): string =>
  /^[\w./-]+$/.test(text) ? stringify(text).trimEnd() : JSON.stringify(text);
