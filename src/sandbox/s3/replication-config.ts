import { randomBytes } from 'node:crypto';
import type { ReplicationConfiguration } from '@aws-sdk/client-s3';
import type { Handlers } from '../call.ts';
import { malformedXml } from '../protocol/rest-xml.ts';
import { checkReplication } from './replication-rules.ts';
import { bucketOf } from './requests.ts';
import { absent } from './settings.ts';

export const replicationHandlers: Handlers = {
  PutBucketReplication(call, input) {
    const bucket = bucketOf(call, input, 's3:PutReplicationConfiguration');
    const configuration: ReplicationConfiguration | undefined = input.ReplicationConfiguration;
    if (!configuration) throw malformedXml();
    checkReplication(configuration, bucket, call.store);
    bucket.replication = {
      ...configuration,
      // Everything is kept as it was put; a rule without an id is given one.
      Rules: (configuration.Rules ?? []).map((rule) => ({ ...rule, ID: rule.ID ?? generatedId() })),
    };
    call.store.changed(bucket);
    return {};
  },

  GetBucketReplication(call, input) {
    const bucket = bucketOf(call, input, 's3:GetReplicationConfiguration');
    if (!bucket.replication) {
      throw absent(
        'ReplicationConfigurationNotFoundError',
        'The replication configuration was not found',
        bucket,
      );
    }
    return { ReplicationConfiguration: bucket.replication };
  },

  DeleteBucketReplication(call, input) {
    const bucket = bucketOf(call, input, 's3:PutReplicationConfiguration');
    delete bucket.replication;
    call.store.changed(bucket);
    return {};
  },
};

const generatedId = (): string => randomBytes(24).toString('base64url');
