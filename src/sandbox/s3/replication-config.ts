import { randomBytes } from 'node:crypto';
import type { ReplicationConfiguration } from '@aws-sdk/client-s3';
import type { Handlers } from '../call.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import { getAuthorizedBucket } from './access.ts';
import { settingNotFoundError } from './bucket-settings.ts';
import { checkReplicationConfiguration } from './check-replication.ts';

export const replicationHandlers: Handlers = {
  PutBucketReplication(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutReplicationConfiguration');
    const configuration: ReplicationConfiguration | undefined = input.ReplicationConfiguration;
    if (!configuration) throw malformedXmlError();
    checkReplicationConfiguration(configuration, bucket, call.store);
    bucket.replication = {
      ...configuration,
      // Everything is kept as it was put; a rule without an id is given one.
      Rules: (configuration.Rules ?? []).map((rule) => ({ ...rule, ID: rule.ID ?? generateRuleId() })),
    };
    call.store.markChanged(bucket);
    return {};
  },

  GetBucketReplication(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:GetReplicationConfiguration');
    if (!bucket.replication) {
      throw settingNotFoundError(
        'ReplicationConfigurationNotFoundError',
        'The replication configuration was not found',
        bucket,
      );
    }
    return { ReplicationConfiguration: bucket.replication };
  },

  DeleteBucketReplication(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutReplicationConfiguration');
    delete bucket.replication;
    call.store.markChanged(bucket);
    return {};
  },
};

const generateRuleId = (): string => randomBytes(24).toString('base64url');
