import {
  GetObjectLockConfigurationCommand,
  type ObjectLockRetentionMode,
  type ObjectLockRule,
  PutObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3';
import { withRequestBody } from '../aws/command.ts';
import { bodyText, requireField, splitRoot } from '../aws/response.ts';
import { bucketResourceId, locationOfSide, positionOfPath, roleResourceId } from '../core/ids.ts';
import type { Change, Kind } from '../core/kind.ts';
import type { Id, Risk } from '../core/resource.ts';
import type { BucketReplication } from '../spec/types.ts';
import { awsCli } from '../util/aws-cli.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { bucketAuditEvents } from './cloudtrail-events.ts';
import { bucketTransientErrors, ignoreErrors, S3_NAMESPACE } from './helpers.ts';
import { bucketScope } from './scopes.ts';

/** Object Lock of a bucket, if a spec declares it. replikey enables it and extends retention, and never the reverse. */
export interface S3ObjectLock {
  bucket: string;
  enabled: boolean;
  /** Mode of the default retention of new objects; absent: none. */
  mode?: ObjectLockRetentionMode;
  /** Period of the default retention: either days or years. */
  days?: number;
  years?: number;
}

export interface ObjectLockDoc {
  /** Absent: the bucket has no Object Lock. */
  ObjectLockEnabled?: 'Enabled';
  Rule?: ObjectLockRule;
  /** The parts of the document that replikey does not manage, as text. */
  foreign?: ForeignLockParts;
}

/** XML elements that replikey does not manage, and attributes of the root, as S3 returned them: `DefaultEventHold`. */
export interface ForeignLockParts {
  rootAttributes: string;
  inConfiguration: string;
  inRule: string;
  inRetention: string;
}

const NO_FOREIGN_PARTS: ForeignLockParts = {
  rootAttributes: S3_NAMESPACE,
  inConfiguration: '',
  inRule: '',
  inRetention: '',
};

type ObjectLockChange = Change<S3ObjectLock, ObjectLockDoc, ForeignLockParts>;

const MODES = { Governance: 'GOVERNANCE', Compliance: 'COMPLIANCE' } as const;

export const s3ObjectLock: Kind<S3ObjectLock, ObjectLockDoc, ForeignLockParts> = {
  name: 's3.object-lock',
  scope: {
    ...bucketScope,
    facts: ({ ObjectLockEnabled, Rule }) => ({
      objectLock:
        ObjectLockEnabled === undefined && !Rule ? null : omitUndefined({ ObjectLockEnabled, Rule }),
    }),
  },
  permissions: {
    read: ['s3:GetBucketObjectLockConfiguration'],
    write: ['s3:PutBucketObjectLockConfiguration'],
  },

  desired: ({ pair, relatedPairs }) =>
    (['source', 'destination'] as const).flatMap((side) => {
      const { bucket, objectLock } = pair[side];
      if (objectLock === undefined) return [];
      const { mode, days, years } = objectLock;
      return [
        {
          id: bucketResourceId('s3.object-lock', bucket),
          kind: 's3.object-lock',
          name: bucket,
          location: locationOfSide(pair[side]),
          spec: omitUndefined({ bucket, enabled: true, mode: mode && MODES[mode], days, years }),
          after: [
            bucketResourceId('s3.versioning', bucket),
            ...(side === 'source' ? sourceDependencies(pair, relatedPairs) : []),
          ],
          declaredBy: [pair.name],
          position: positionOfPath(pair, `spec.${side}.objectLock`),
        },
      ];
    }),

  async fetch(aws, location, name) {
    const owner = await aws.accountId(location.account);
    try {
      const response = await ignoreErrors(
        aws.send(
          location,
          new GetObjectLockConfigurationCommand({ Bucket: name, ExpectedBucketOwner: owner }),
        ),
        'NoSuchBucket',
      );
      if (!response) return undefined;
      const { ObjectLockEnabled, Rule } = requireField(response, 'ObjectLockConfiguration');
      const foreign = foreignPartsIn(bodyText(response));
      return {
        ...(ObjectLockEnabled && { ObjectLockEnabled }),
        ...(Rule && { Rule }),
        ...(foreign && { foreign }),
      };
    } catch (error) {
      // The bucket exists.
      if (error instanceof Error && error.name === 'ObjectLockConfigurationNotFoundError') return {};
      throw error;
    }
  },

  parse({ ObjectLockEnabled, Rule, foreign }, { name }) {
    const { Mode, Days, Years } = Rule?.DefaultRetention ?? {};
    return {
      spec: omitUndefined({
        bucket: name,
        enabled: ObjectLockEnabled === 'Enabled',
        mode: Mode,
        days: Days,
        years: Years,
      }),
      attrs: {},
      // Always present: the document is read again before a write, which must not replace a longer retention.
      foreign: foreign ?? NO_FOREIGN_PARTS,
    };
  },

  normalize: (spec) => spec,

  render({ spec: { enabled, mode: Mode, days: Days, years: Years } }, current) {
    const { foreign } = current ?? {};
    return {
      // The proof also renders observed states.
      ...(enabled && { ObjectLockEnabled: 'Enabled' as const }),
      ...(Mode && { Rule: { DefaultRetention: omitUndefined({ Mode, Days, Years }) } }),
      ...(foreign && hasElements(foreign) && { foreign }),
    };
  },

  operations: ({ resource: { name, location }, desired }) => [
    {
      call: 's3:PutObjectLockConfiguration',
      manual: {
        what: `enable Object Lock on ${name}${desired.mode ? `, with ${retentionText(desired)}` : ''}; it cannot be disabled again`,
        command: awsCli('s3api put-object-lock-configuration', {
          region: location.region,
          bucket: name,
          'object-lock-configuration': JSON.stringify(toConfiguration(desired)),
        }),
      },
    },
  ],

  async send(aws, { resource, doc, desired }) {
    const command = new PutObjectLockConfigurationCommand({
      Bucket: resource.name,
      ExpectedBucketOwner: await aws.accountId(resource.location.account),
      ObjectLockConfiguration: toConfiguration(desired),
    });
    await aws.send(resource.location, withRequestBody(command, toLockXml(doc ?? {})));
  },

  response: {
    replacesWholeDocument: true,
    // A bucket that replikey creates has Object Lock from the start.
    initialContent: true,
  },

  check: (change) => ({
    blocked: weakeningProblem(change),
    risks: [...lockBucketRisks(change), ...complianceRisks(change)],
    creationRisks: complianceRisks(change),
  }),

  explain: (path, spec) =>
    path === '' || path === '/enabled'
      ? `the spec declares Object Lock, which protects object versions from deletion${spec.mode ? `: ${retentionText(spec)}` : ''}`
      : 'the spec declares another default retention, which applies to new objects',

  transientErrors: [
    ...bucketTransientErrors,
    {
      code: 'InvalidBucketState',
      message: /Versioning must be/,
      waitsFor: 'S3 to see that versioning is enabled',
    },
  ],

  auditEvents: bucketAuditEvents({
    '': ['PutBucketObjectLockConfiguration'],
    '/': ['PutBucketObjectLockConfiguration'],
  }),
};

/**
 * Returns what the Object Lock of a source waits for. From then on, S3 reads the retention of each object as the role, and
 * replicates only to destinations with Object Lock.
 */
function sourceDependencies(pair: BucketReplication, relatedPairs: readonly BucketReplication[]): Id[] {
  const pairs = relatedPairs.filter(({ source }) => source.bucket === pair.source.bucket);
  const isLockedSource = (bucket: string) =>
    relatedPairs.some(({ source }) => source.bucket === bucket && source.objectLock !== undefined);
  return pairs.flatMap((related) => [
    ...('arn' in related.role ? [] : [roleResourceId('iam.role-policy', related)]),
    ...lockIdsOf(related.destination).filter(
      // Two buckets that replicate to each other, or more in a circle, would wait for each other.
      () => !isLockedSource(related.destination.bucket) || related.destination.bucket < pair.source.bucket,
    ),
  ]);
}

/** Returns the id of the Object Lock of a side, if a spec declares it. */
export const lockIdsOf = ({ bucket, objectLock }: BucketReplication['source']): Id[] =>
  objectLock === undefined ? [] : [bucketResourceId('s3.object-lock', bucket)];

/** Returns why a change would weaken the protection of new objects; undefined if it would not. */
function weakeningProblem({ resource: { name }, current, desired }: ObjectLockChange): string | undefined {
  const actual = current?.spec;
  if (actual?.mode === undefined) return undefined;
  const isWeaker =
    desired.mode === undefined ||
    (actual.mode === MODES.Compliance && desired.mode !== MODES.Compliance) ||
    isShorter(desired, actual);
  if (!isWeaker) return undefined;
  const declared = desired.mode === undefined ? 'no default retention' : retentionText(desired);
  return `${name} has a default retention of ${retentionText(actual)}, and the spec declares ${declared}; replikey never weakens a retention: declare objectLock: ${declarationOf(actual)}, or change the retention in S3`;
}

/** Returns whether a period can end before another. A year has 365 or 366 days. */
function isShorter(desired: S3ObjectLock, actual: S3ObjectLock): boolean {
  if (desired.years !== undefined && actual.years !== undefined) return desired.years < actual.years;
  const shortest = desired.days ?? (desired.years ?? 0) * 365;
  const years = actual.years ?? 0;
  const longest = actual.days ?? years * 365 + Math.ceil(years / 4);
  return shortest < longest;
}

const lockBucketRisks = ({ current, desired: { bucket } }: ObjectLockChange): Risk[] =>
  current?.spec.enabled === false
    ? [
        {
          id: 'lock-bucket',
          message: `enables Object Lock on the existing bucket ${bucket}, which no one can disable again; its versioning can never be suspended, and it cannot receive server access logs`,
        },
      ]
    : [];

/** Returns the risk of a retention in Compliance mode that is new, or longer than before. */
function complianceRisks({ current, desired }: ObjectLockChange): Risk[] {
  const actual = current?.spec;
  if (desired.mode !== MODES.Compliance) return [];
  const isSame = (['mode', 'days', 'years'] as const).every((field) => actual?.[field] === desired[field]);
  if (isSame) return [];
  return [
    {
      id: 'lock-compliance',
      message: `retains each new object version in ${desired.bucket} in ${retentionText(desired)}: no one can delete it before, not even the root user of the account`,
    },
  ];
}

const nameOfMode = (mode: string | undefined): string =>
  mode === MODES.Compliance ? 'Compliance' : 'Governance';

/** `Governance mode for 30 days` */
const retentionText = ({ mode, days, years }: S3ObjectLock): string =>
  `${nameOfMode(mode)} mode for ${days === undefined ? `${years} year` : `${days} day`}${(days ?? years) === 1 ? '' : 's'}`;

/** `{ mode: Governance, days: 30 }` */
const declarationOf = ({ mode, days, years }: S3ObjectLock): string =>
  `{ mode: ${nameOfMode(mode)}, ${days === undefined ? `years: ${years}` : `days: ${days}`} }`;

const toConfiguration = ({ mode: Mode, days: Days, years: Years }: S3ObjectLock) => ({
  ObjectLockEnabled: 'Enabled' as const,
  ...(Mode && { Rule: { DefaultRetention: omitUndefined({ Mode, Days, Years }) } }),
});

/** Elements that replikey manages, by the part of the document that contains them. */
const MANAGED_ELEMENTS = {
  configuration: ['ObjectLockEnabled', 'Rule'],
  rule: ['DefaultRetention'],
  retention: ['Mode', 'Days', 'Years'],
};

/** Returns the parts of a document that replikey does not manage. A replayed response has no text. */
function foreignPartsIn(xml: string | undefined): ForeignLockParts | undefined {
  if (xml === undefined) return undefined;
  const { attributes, children } = splitRoot(xml);
  const childrenOf = (elements: typeof children, name: string) =>
    elements.filter((element) => element.name === name).flatMap((element) => splitRoot(element.xml).children);
  const textWithout = (elements: typeof children, managed: readonly string[]) =>
    elements
      .filter(({ name }) => !managed.includes(name))
      .map((element) => element.xml)
      .join('');
  const rule = childrenOf(children, 'Rule');
  const parts: ForeignLockParts = {
    rootAttributes: attributes,
    inConfiguration: textWithout(children, MANAGED_ELEMENTS.configuration),
    inRule: textWithout(rule, MANAGED_ELEMENTS.rule),
    inRetention: textWithout(childrenOf(rule, 'DefaultRetention'), MANAGED_ELEMENTS.retention),
  };
  return hasElements(parts) ? parts : undefined;
}

const hasElements = ({ inConfiguration, inRule, inRetention }: ForeignLockParts): boolean =>
  inConfiguration + inRule + inRetention !== '';

/** Returns the text of a document, with the parts that replikey does not manage. */
function toLockXml({ Rule, foreign }: ObjectLockDoc): string {
  const { rootAttributes, inConfiguration, inRule, inRetention } = foreign ?? NO_FOREIGN_PARTS;
  const { Mode, Days, Years } = Rule?.DefaultRetention ?? {};
  const text = (name: string, value: string | number | undefined) =>
    value === undefined ? '' : `<${name}>${value}</${name}>`;
  const retention = [text('Mode', Mode), text('Days', Days), text('Years', Years), inRetention].join('');
  const rule = [retention && `<DefaultRetention>${retention}</DefaultRetention>`, inRule].join('');
  return `<ObjectLockConfiguration${rootAttributes}><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule && `<Rule>${rule}</Rule>`}${inConfiguration}</ObjectLockConfiguration>`;
}
