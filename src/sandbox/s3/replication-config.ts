import { randomBytes } from 'node:crypto';
import type { ReplicationConfiguration, ReplicationRule } from '@aws-sdk/client-s3';
import { bucketArn } from '../../util/arn.ts';
import { AwsError, invalidRequestError } from '../aws-error.ts';
import type { Handlers } from '../call.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type { BucketState } from '../state.ts';
import type { Store } from '../store.ts';
import { checkPassRole, getAuthorizedBucket } from './access.ts';
import { bucketSettingRemover, getBucketSetting, markBucketChanged } from './bucket-settings.ts';
import { isStorageClass } from './storage-classes.ts';

export const replicationHandlers: Handlers = {
  PutBucketReplication(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutReplicationConfiguration');
    const configuration: ReplicationConfiguration | undefined = input.ReplicationConfiguration;
    if (!configuration) throw malformedXmlError();
    checkReplicationConfiguration(configuration, bucket, call.store);
    checkPassRole(call, configuration.Role ?? '', 's3.amazonaws.com', {
      'iam:AssociatedResourceArn': bucketArn(bucket.name, bucket.region),
    });
    bucket.replication = {
      ...configuration,
      // S3 keeps the document as the caller sent it, and adds an id to a rule without one.
      Rules: (configuration.Rules ?? []).map((rule) => ({ ...rule, ID: rule.ID ?? generateRuleId() })),
    };
    return markBucketChanged(call, bucket);
  },

  GetBucketReplication: (call, input) => ({
    ReplicationConfiguration: getBucketSetting(call, input, 's3:GetReplicationConfiguration', 'replication'),
  }),

  DeleteBucketReplication: bucketSettingRemover('s3:PutReplicationConfiguration', 'replication'),
};

const generateRuleId = (): string => randomBytes(24).toString('base64url');

/**
 * A check of PutBucketReplication with S3's error messages. S3 does not check that the role exists, that S3 can assume
 * it, or that it has permissions. S3 does not check KMS keys either. Such mistakes appear only as FAILED objects.
 */
type ConfigurationCheck = (context: {
  configuration: ReplicationConfiguration;
  rules: ReplicationRule[];
  source: BucketState;
  store: Store;
}) => void;

const invalidReplicationArgumentError = (message: string): AwsError =>
  new AwsError(400, 'InvalidArgument', message);

const SCHEMA_VERSION_HINT =
  'for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more information.';

/** Returns whether a rule uses the first version of the schema, which has a Prefix and no Filter. */
const isV1ReplicationRule = (rule: ReplicationRule): boolean => rule.Filter === undefined;

function checkReplicationConfiguration(
  configuration: ReplicationConfiguration,
  source: BucketState,
  store: Store,
): void {
  const rules = configuration.Rules ?? [];
  for (const check of CONFIGURATION_CHECKS) check({ configuration, rules, source, store });
}

const forEachReplicationRule =
  (checkRule: (rule: ReplicationRule) => void): ConfigurationCheck =>
  ({ rules }) =>
    rules.forEach(checkRule);

const checkRuleCount: ConfigurationCheck = ({ rules }) => {
  if (rules.length === 0 || rules.length > 1000) throw malformedXmlError();
};

const checkReplicationRoleArn: ConfigurationCheck = ({ configuration }) => {
  if (!/^arn:[^:]+:iam::\d+:role\/.+$/.test(configuration.Role ?? '')) {
    throw invalidReplicationArgumentError('Invalid Role specified in replication configuration');
  }
};

const requireFilterOrPrefix = forEachReplicationRule((rule) => {
  if (rule.Filter === undefined && rule.Prefix === undefined) throw malformedXmlError();
});

const checkReplicationFilter = forEachReplicationRule(({ Filter }) => {
  if (!Filter) return;
  if (countDefined(Filter.Prefix, Filter.Tag, Filter.And, Filter.Not) > 1) throw malformedXmlError();
  const not = Filter.And?.Not ?? Filter.Not;
  // "Specify exactly one Prefix, Tag, or Or child element" (SDK reference, ReplicationRuleNotOperator).
  if (not && countDefined(not.Prefix, not.Tag, not.Or) !== 1) throw malformedXmlError();
  if (not?.Or && (not.Or.Prefixes ?? []).length + (not.Or.Tags ?? []).length === 0) throw malformedXmlError();
  if (!Filter.And) return;
  const predicates = countDefined(Filter.And.Prefix, Filter.And.Not) + (Filter.And.Tags?.length ?? 0);
  if (predicates < 2) throw malformedXmlError();
  const keys = (Filter.And.Tags ?? []).map(({ Key }) => Key);
  if (new Set(keys).size < keys.length) throw invalidRequestError('Duplicate Tag Keys are not allowed.');
});

const countDefined = (...parts: unknown[]): number => parts.filter((part) => part !== undefined).length;

/** Rejects ExistingObjectReplication with any status: S3 does not support it any more. */
const rejectExistingObjectReplication = forEachReplicationRule((rule) => {
  if (rule.ExistingObjectReplication !== undefined) throw malformedXmlError();
});

const checkRuleStatus = forEachReplicationRule((rule) => {
  if (rule.Status !== 'Enabled' && rule.Status !== 'Disabled') throw malformedXmlError();
});

const rejectV2ElementsInV1 = forEachReplicationRule((rule) => {
  if (!isV1ReplicationRule(rule)) return;
  if (rule.Priority !== undefined)
    throw invalidRequestError(`Priority cannot be used ${SCHEMA_VERSION_HINT}`);
  if (rule.DeleteMarkerReplication !== undefined)
    throw invalidRequestError(`DeleteMarkerReplication cannot be used ${SCHEMA_VERSION_HINT}`);
});

const requireV2Elements = forEachReplicationRule((rule) => {
  if (isV1ReplicationRule(rule)) return;
  if (rule.Priority === undefined)
    throw invalidRequestError(`Priority must be specified ${SCHEMA_VERSION_HINT}`);
  if (rule.DeleteMarkerReplication === undefined)
    throw invalidRequestError(`DeleteMarkerReplication must be specified ${SCHEMA_VERSION_HINT}`);
});

const checkPriorityRange = forEachReplicationRule(({ Priority }) => {
  if (Priority !== undefined && (Priority < 0 || Priority > 2_147_483_647)) {
    throw invalidRequestError('Priority must be between 0 and 2147483647.');
  }
});

const checkRuleIds: ConfigurationCheck = ({ rules }) => {
  const ids = rules.flatMap(({ ID }) => ID ?? []);
  if (ids.some((id) => id.length > 255))
    throw invalidReplicationArgumentError('Rule Id cannot be greater than 255');
  if (new Set(ids).size < ids.length) throw invalidReplicationArgumentError('Rule Id must be unique');
};

const checkUniquePriorities: ConfigurationCheck = ({ rules }) => {
  const priorities = new Set<number>();
  for (const { Priority } of rules) {
    if (Priority === undefined) continue;
    if (priorities.has(Priority)) throw invalidRequestError(`Found duplicate priority ${Priority}.`);
    priorities.add(Priority);
  }
};

const checkSingleV1Destination: ConfigurationCheck = ({ rules }) => {
  if (!rules.some(isV1ReplicationRule)) return;
  if (new Set(rules.map(({ Destination }) => Destination?.Bucket)).size > 1) {
    throw invalidRequestError('Number of distinct destination bucket ARNs cannot exceed 1');
  }
};

/**
 * Rejects delete marker replication with a tag filter. AWS does not document whether this includes tags that a rule
 * excludes; the sandbox reads "any Tag filter" in S3's message so.
 */
const rejectDeleteMarkersWithTags = forEachReplicationRule(({ Filter, DeleteMarkerReplication }) => {
  const not = Filter?.And?.Not ?? Filter?.Not;
  const tags = [...(Filter?.And?.Tags ?? []), ...(not?.Or?.Tags ?? [])];
  const hasTagFilter = countDefined(Filter?.Tag, not?.Tag) + tags.length > 0;
  if (hasTagFilter && DeleteMarkerReplication?.Status === 'Enabled') {
    throw invalidRequestError(
      'Delete marker replication is not supported if any Tag filter is specified. Please refer to S3 Developer Guide for more information.',
    );
  }
});

const checkSelectionAndReplicaKey = forEachReplicationRule(
  ({ SourceSelectionCriteria: selection, Destination }) => {
    if (selection && Object.values(selection).every((criterion) => criterion === undefined)) {
      throw invalidRequestError('SourceSelectionCriteria cannot be empty.');
    }
    const key = Destination?.EncryptionConfiguration?.ReplicaKmsKeyID;
    const related = Destination?.EncryptionConfiguration?.UseSourceMultiRegionKey;
    if (related && related.Status !== 'Enabled' && related.Status !== 'Disabled') throw malformedXmlError();
    // AWS does not document whether a rule with a related key also needs a replica key: the sandbox accepts both.
    if (selection?.SseKmsEncryptedObjects && key === undefined && related?.Status !== 'Enabled') {
      throw invalidRequestError(
        'ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present.',
      );
    }
    if (Destination?.EncryptionConfiguration && !selection?.SseKmsEncryptedObjects) {
      throw invalidRequestError(
        'SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present.',
      );
    }
    if (key !== undefined && !/^arn:[^:]+:kms:[a-z0-9-]+:\d{12}:(key|alias)\/.+$/.test(key)) {
      throw invalidReplicationArgumentError('Invalid ReplicaKmsKeyID ARN.');
    }
  },
);

const checkMetricsAndTimeControl = forEachReplicationRule(({ Destination }) => {
  const { ReplicationTime: time, Metrics: metrics } = Destination ?? {};
  const hasTimeControl = time?.Status === 'Enabled';
  if (time && !metrics)
    throw invalidRequestError('Destination must contain both ReplicationTime and Metrics or neither.');
  if (hasTimeControl && metrics?.Status !== 'Enabled') {
    throw invalidRequestError('Status of ReplicationTime and Metrics must be the same.');
  }
  if (hasTimeControl && metrics?.EventThreshold === undefined)
    throw invalidReplicationArgumentError('ReplicationMetrics must contain an event threshold');
  if (hasTimeControl && (time.Time?.Minutes !== 15 || metrics?.EventThreshold?.Minutes !== 15)) {
    throw invalidReplicationArgumentError('ReplicationTime and EventThreshold must be 15 minutes.');
  }
  if (!hasTimeControl && metrics?.EventThreshold !== undefined) {
    throw invalidReplicationArgumentError(
      'Metrics cannot contain an event threshold when ReplicationTime is not specified or Disabled',
    );
  }
});

const requireAccountForOwner = forEachReplicationRule(({ Destination }) => {
  if (Destination?.AccessControlTranslation?.Owner !== undefined && Destination.Account === undefined) {
    throw invalidRequestError(
      'Account must be specified if the Owner in AccessControlTranslation has a value',
    );
  }
});

const checkDestinationArn = forEachReplicationRule(({ Destination }) => {
  if (!/^arn:[^:]+:s3:::[^/*]+$/.test(Destination?.Bucket ?? ''))
    throw invalidReplicationArgumentError('The specified bucket is not valid.');
});

const checkDestinationClass = forEachReplicationRule(({ Destination }) => {
  if (Destination?.StorageClass !== undefined && !isStorageClass(Destination.StorageClass))
    throw malformedXmlError();
});

const rejectSelfReplication: ConfigurationCheck = ({ rules, source }) => {
  if (rules.some(({ Destination }) => Destination?.Bucket?.endsWith(`:::${source.name}`))) {
    throw invalidRequestError('Destination bucket cannot be the same as the source bucket.');
  }
};

const requireSourceVersioning: ConfigurationCheck = ({ source }) => {
  if (source.versioning?.Status !== 'Enabled') {
    throw invalidRequestError(
      "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
    );
  }
};

/**
 * Checks that each destination exists and has versioning. The recorded responses have two messages for a bucket that
 * does not exist: S3 chooses by the status of the rule, enabled or disabled.
 */
const requireDestinationVersioning: ConfigurationCheck = ({ rules, store }) => {
  for (const { Destination, Status } of rules) {
    const bucket = store.bucket((Destination?.Bucket ?? '').split(':::')[1] ?? '');
    if (!bucket && Status === 'Enabled') throw invalidRequestError('Destination bucket must exist.');
    if (bucket?.versioning?.Status !== 'Enabled') {
      throw invalidRequestError('Destination bucket must have versioning enabled.');
    }
  }
};

/** Checks in the order of S3: first the form of the document, then its values, then the buckets that it names. */
const CONFIGURATION_CHECKS: ConfigurationCheck[] = [
  checkRuleCount,
  requireFilterOrPrefix,
  checkReplicationFilter,
  rejectExistingObjectReplication,
  checkRuleStatus,
  checkDestinationClass,
  checkReplicationRoleArn,
  checkRuleIds,
  rejectV2ElementsInV1,
  checkSingleV1Destination,
  requireV2Elements,
  checkPriorityRange,
  checkUniquePriorities,
  rejectDeleteMarkersWithTags,
  checkSelectionAndReplicaKey,
  requireAccountForOwner,
  checkMetricsAndTimeControl,
  checkDestinationArn,
  rejectSelfReplication,
  requireSourceVersioning,
  requireDestinationVersioning,
];
