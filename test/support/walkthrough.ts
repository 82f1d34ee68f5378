/** The resources of AWS's walkthrough "Replicating encrypted objects". */
export interface WalkthroughKeys {
  source: string;
  destination: string;
}

export const WALKTHROUGH_TRUST = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sts:AssumeRole' }],
};

/** Returns the role policy. The walkthrough allows only `kms:Encrypt` with the replica key. */
export const walkthroughPolicy = (keys: WalkthroughKeys, destinationActions: string[]) => ({
  Version: '2012-10-17',
  Statement: [
    {
      Action: [
        's3:ListBucket',
        's3:GetReplicationConfiguration',
        's3:GetObjectVersionForReplication',
        's3:GetObjectVersionAcl',
        's3:GetObjectVersionTagging',
      ],
      Effect: 'Allow',
      Resource: ['arn:aws:s3:::source', 'arn:aws:s3:::source/*'],
    },
    {
      Action: ['s3:ReplicateObject', 's3:ReplicateDelete', 's3:ReplicateTags'],
      Effect: 'Allow',
      Condition: {
        StringLikeIfExists: {
          's3:x-amz-server-side-encryption': ['aws:kms', 'AES256'],
          's3:x-amz-server-side-encryption-aws-kms-key-id': [keys.destination],
        },
      },
      Resource: 'arn:aws:s3:::destination/*',
    },
    {
      Action: ['kms:Decrypt'],
      Effect: 'Allow',
      Condition: {
        StringLike: {
          'kms:ViaService': 's3.us-east-1.amazonaws.com',
          'kms:EncryptionContext:aws:s3:arn': ['arn:aws:s3:::source'],
        },
      },
      Resource: [keys.source],
    },
    {
      Action: destinationActions,
      Effect: 'Allow',
      Condition: {
        StringLike: {
          'kms:ViaService': 's3.us-west-2.amazonaws.com',
          'kms:EncryptionContext:aws:s3:arn': ['arn:aws:s3:::destination'],
        },
      },
      Resource: [keys.destination],
    },
  ],
});

export const walkthroughReplication = (keys: WalkthroughKeys, role: string) => ({
  Role: role,
  Rules: [
    {
      Status: 'Enabled',
      Priority: 1,
      DeleteMarkerReplication: { Status: 'Disabled' },
      Filter: { Prefix: 'Tax' },
      Destination: {
        Bucket: 'arn:aws:s3:::destination',
        EncryptionConfiguration: { ReplicaKmsKeyID: keys.destination },
      },
      SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
    },
  ],
});
