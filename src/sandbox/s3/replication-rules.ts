import type { ReplicationConfiguration, ReplicationRule } from '@aws-sdk/client-s3';
import { AwsError } from '../aws-error.ts';
import { malformedXml } from '../protocol/rest-xml.ts';
import type { BucketState } from '../state.ts';
import type { Store } from '../store.ts';

/**
 * What PutBucketReplication accepts and refuses, in S3's words: one function a refusal. That the role exists, may be
 * assumed or has permissions is not checked, nor is any key: such mistakes show only as FAILED objects.
 */
type Check = (subject: {
  configuration: ReplicationConfiguration;
  rules: ReplicationRule[];
  source: BucketState;
  store: Store;
}) => void;

const invalidRequest = (message: string): AwsError => new AwsError(400, 'InvalidRequest', message);
const invalidArgument = (message: string): AwsError => new AwsError(400, 'InvalidArgument', message);

const SCHEMA =
  'for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more information.';

/** A rule of the first version of the schema has a Prefix and no Filter. */
const isV1 = (rule: ReplicationRule): boolean => rule.Filter === undefined;

export function checkReplication(
  configuration: ReplicationConfiguration,
  source: BucketState,
  store: Store,
): void {
  const rules = configuration.Rules ?? [];
  for (const check of CHECKS) check({ configuration, rules, source, store });
}

const each =
  (check: (rule: ReplicationRule) => void): Check =>
  ({ rules }) =>
    rules.forEach(check);

const hasRules: Check = ({ rules }) => {
  if (rules.length === 0 || rules.length > 1000) throw malformedXml();
};

const roleIsArn: Check = ({ configuration }) => {
  if (!/^arn:[^:]+:iam::\d+:role\/.+$/.test(configuration.Role ?? '')) {
    throw invalidArgument('Invalid Role specified in replication configuration');
  }
};

const hasFilterOrPrefix = each((rule) => {
  if (rule.Filter === undefined && rule.Prefix === undefined) throw malformedXml();
});

const filterShape = each(({ Filter }) => {
  if (!Filter) return;
  if ([Filter.Prefix, Filter.Tag, Filter.And].filter((part) => part !== undefined).length > 1)
    throw malformedXml();
  if (!Filter.And) return;
  const predicates = (Filter.And.Prefix === undefined ? 0 : 1) + (Filter.And.Tags?.length ?? 0);
  if (predicates < 2) throw malformedXml();
  const keys = (Filter.And.Tags ?? []).map(({ Key }) => Key);
  if (new Set(keys).size < keys.length) throw invalidRequest('Duplicate Tag Keys are not allowed.');
});

/** No longer supported, whatever its status. */
const noExistingObjects = each((rule) => {
  if (rule.ExistingObjectReplication !== undefined) throw malformedXml();
});

const statusIsKnown = each((rule) => {
  if (rule.Status !== 'Enabled' && rule.Status !== 'Disabled') throw malformedXml();
});

const v1HasNoV2Elements = each((rule) => {
  if (!isV1(rule)) return;
  if (rule.Priority !== undefined) throw invalidRequest(`Priority cannot be used ${SCHEMA}`);
  if (rule.DeleteMarkerReplication !== undefined)
    throw invalidRequest(`DeleteMarkerReplication cannot be used ${SCHEMA}`);
});

const v2HasItsElements = each((rule) => {
  if (isV1(rule)) return;
  if (rule.Priority === undefined) throw invalidRequest(`Priority must be specified ${SCHEMA}`);
  if (rule.DeleteMarkerReplication === undefined)
    throw invalidRequest(`DeleteMarkerReplication must be specified ${SCHEMA}`);
});

const priorityInRange = each(({ Priority }) => {
  if (Priority !== undefined && (Priority < 0 || Priority > 2_147_483_647)) {
    throw invalidRequest('Priority must be between 0 and 2147483647.');
  }
});

const idsAreUnique: Check = ({ rules }) => {
  const ids = rules.flatMap(({ ID }) => ID ?? []);
  if (ids.some((id) => id.length > 255)) throw invalidArgument('Rule Id cannot be greater than 255');
  if (new Set(ids).size < ids.length) throw invalidArgument('Rule Id must be unique');
};

const prioritiesAreUnique: Check = ({ rules }) => {
  const seen = new Set<number>();
  for (const { Priority } of rules) {
    if (Priority === undefined) continue;
    if (seen.has(Priority)) throw invalidRequest(`Found duplicate priority ${Priority}.`);
    seen.add(Priority);
  }
};

const v1HasOneDestination: Check = ({ rules }) => {
  if (!rules.some(isV1)) return;
  if (new Set(rules.map(({ Destination }) => Destination?.Bucket)).size > 1) {
    throw invalidRequest('Number of distinct destination bucket ARNs cannot exceed 1');
  }
};

const tagsExcludeDeleteMarkers = each(({ Filter, DeleteMarkerReplication }) => {
  const tags = Filter?.Tag !== undefined || (Filter?.And?.Tags?.length ?? 0) > 0;
  if (tags && DeleteMarkerReplication?.Status === 'Enabled') {
    throw invalidRequest(
      'Delete marker replication is not supported if any Tag filter is specified. Please refer to S3 Developer Guide for more information.',
    );
  }
});

const selectionAndKeyTogether = each(({ SourceSelectionCriteria: selection, Destination }) => {
  if (selection && Object.values(selection).every((part) => part === undefined)) {
    throw invalidRequest('SourceSelectionCriteria cannot be empty.');
  }
  const key = Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
  if (selection?.SseKmsEncryptedObjects && key === undefined) {
    throw invalidRequest('ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present.');
  }
  if (Destination?.EncryptionConfiguration && !selection?.SseKmsEncryptedObjects) {
    throw invalidRequest('SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present.');
  }
  if (key !== undefined && !/^arn:[^:]+:kms:[a-z0-9-]+:\d{12}:(key|alias)\/.+$/.test(key)) {
    throw invalidArgument('Invalid ReplicaKmsKeyID ARN.');
  }
});

const metricsAndTimeControl = each(({ Destination }) => {
  const { ReplicationTime: time, Metrics: metrics } = Destination ?? {};
  const timed = time?.Status === 'Enabled';
  if (time && !metrics)
    throw invalidRequest('Destination must contain both ReplicationTime and Metrics or neither.');
  if (timed && metrics?.Status !== 'Enabled') {
    throw invalidRequest('Status of ReplicationTime and Metrics must be the same.');
  }
  if (timed && metrics?.EventThreshold === undefined)
    throw invalidArgument('ReplicationMetrics must contain an event threshold');
  if (timed && (time.Time?.Minutes !== 15 || metrics?.EventThreshold?.Minutes !== 15)) {
    throw invalidArgument('ReplicationTime and EventThreshold must be 15 minutes.');
  }
  if (!timed && metrics?.EventThreshold !== undefined) {
    throw invalidArgument(
      'Metrics cannot contain an event threshold when ReplicationTime is not specified or Disabled',
    );
  }
});

const ownerNeedsAccount = each(({ Destination }) => {
  if (Destination?.AccessControlTranslation?.Owner !== undefined && Destination.Account === undefined) {
    throw invalidRequest('Account must be specified if the Owner in AccessControlTranslation has a value');
  }
});

const destinationIsBucketArn = each(({ Destination }) => {
  if (!/^arn:[^:]+:s3:::[^/*]+$/.test(Destination?.Bucket ?? ''))
    throw invalidArgument('The specified bucket is not valid.');
});

const notToItself: Check = ({ rules, source }) => {
  if (rules.some(({ Destination }) => Destination?.Bucket?.endsWith(`:::${source.name}`))) {
    throw invalidRequest('Destination bucket cannot be the same as the source bucket.');
  }
};

const sourceIsVersioned: Check = ({ source }) => {
  if (source.versioning?.Status !== 'Enabled') {
    throw invalidRequest("Versioning must be 'Enabled' on the bucket to apply a replication configuration");
  }
};

/** Two messages are recorded for a bucket that does not exist: the answer depends on whether the rule is disabled. */
const destinationsAreVersioned: Check = ({ rules, store }) => {
  for (const { Destination, Status } of rules) {
    const bucket = store.bucket((Destination?.Bucket ?? '').split(':::')[1] ?? '');
    if (!bucket && Status === 'Enabled') throw invalidRequest('Destination bucket must exist.');
    if (bucket?.versioning?.Status !== 'Enabled') {
      throw invalidRequest('Destination bucket must have versioning enabled.');
    }
  }
};

/** The form of the document first, then what it says, then the buckets that it names. */
const CHECKS: Check[] = [
  hasRules,
  hasFilterOrPrefix,
  filterShape,
  noExistingObjects,
  statusIsKnown,
  roleIsArn,
  idsAreUnique,
  v1HasNoV2Elements,
  v1HasOneDestination,
  v2HasItsElements,
  priorityInRange,
  prioritiesAreUnique,
  tagsExcludeDeleteMarkers,
  selectionAndKeyTogether,
  ownerNeedsAccount,
  metricsAndTimeControl,
  destinationIsBucketArn,
  notToItself,
  sourceIsVersioned,
  destinationsAreVersioned,
];
