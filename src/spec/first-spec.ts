import * as names from './names.ts';

/** What a first spec says; all else is left to its defaults. */
export interface FirstSpec {
  name: string;
  source: string;
  sourceRegion: string;
  destination: string;
  destinationRegion: string;
  prefix: string;
}

/** A question: what is asked for, what is offered, and whether an answer will do. */
export interface Question {
  key: keyof FirstSpec;
  /** For a person, after whose answer a colon stands. */
  ask: string;
  /** What an empty answer means; absent: there must be one. */
  offer?: (known: Partial<FirstSpec>) => string | undefined;
  check: names.Check;
}

export const QUESTIONS: Question[] = [
  { key: 'source', ask: 'Source bucket', check: names.bucketName },
  { key: 'sourceRegion', ask: 'Its Region', offer: () => 'us-east-1', check: names.region },
  {
    key: 'destination',
    ask: 'Destination bucket',
    offer: ({ source = '' }) => `${source}-replica`,
    check: names.bucketName,
  },
  {
    key: 'destinationRegion',
    ask: 'Its Region',
    offer: ({ sourceRegion }) => (sourceRegion === 'us-west-2' ? 'us-east-1' : 'us-west-2'),
    check: names.region,
  },
  {
    key: 'prefix',
    ask: 'Prefix of the objects ("" for all)',
    offer: () => '""',
    check: (text) => names.keyPrefix(unquoted(text)),
  },
  {
    key: 'name',
    ask: 'Name of the spec',
    offer: ({ source = '' }) => named(source),
    check: names.dnsLabel,
  },
];

/** `""` on a terminal is an empty text. */
export const unquoted = (text: string): string => (text === '""' || text === "''" ? '' : text);

/** The name of a spec, made from that of its source bucket. */
const named = (bucket: string): string =>
  bucket
    .replaceAll('.', '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');

/** A spec that teaches: what may be left out is left out, and what is not obvious is said. `schema`: where editors find it. */
export const firstSpec = (
  spec: FirstSpec,
  schema: string,
): string => `# yaml-language-server: $schema=${schema}
# reconcile explain says what else may stand here: reconcile explain BucketReplication.spec
apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: ${spec.name} # appears in the ids of rules, in tags, logs and metrics
spec:
  source:
    bucket: ${spec.source} # created where it does not exist yet, as are keys and the role
    region: ${spec.sourceRegion}
    key: alias/${aliasOf(spec.source)} # a KMS key by its alias; an ARN for one that exists and is never altered
  destination:
    bucket: ${spec.destination}
    region: ${spec.destinationRegion}
    key: alias/${aliasOf(spec.destination)} # KMS keys do not leave their Region: the replicas have their own
  rules:
    - prefix: ${JSON.stringify(spec.prefix)} # only objects whose key begins with this; nothing else is ever replicated
`;

/** Aliases have no dots. */
const aliasOf = (bucket: string): string => bucket.replaceAll('.', '-');
