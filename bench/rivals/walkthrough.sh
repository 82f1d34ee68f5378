#!/usr/bin/env bash
# AWS's walkthrough "Replicating encrypted objects" with the AWS CLI, for each line of a file of pairs. It is idempotent: it
# reads first, and writes only differences.
# walkthrough.sh FILE; on each line: name, source bucket, replica bucket, source key, replica key (alias/NAME or an ARN).
set -euo pipefail

ACCOUNT=${AWS_ACCESS_KEY_ID:?}
SOURCE_REGION=us-east-1
REPLICA_REGION=us-west-2

versioning() {
  local bucket=$1 region=$2
  [[ $(aws s3api get-bucket-versioning --region "$region" --bucket "$bucket" --query Status --output text) == Enabled ]] ||
    aws s3api put-bucket-versioning --region "$region" --bucket "$bucket" --versioning-configuration Status=Enabled
}

# Prints the ARN of the key. Creates the key and its alias if the alias does not exist.
key() {
  local key=$1 region=$2 arn
  [[ $key == arn:* ]] && echo "$key" && return
  aws kms describe-key --region "$region" --key-id "$key" --query KeyMetadata.Arn --output text 2>/dev/null && return
  arn=$(aws kms create-key --region "$region" --query KeyMetadata.Arn --output text)
  aws kms create-alias --region "$region" --alias-name "$key" --target-key-id "$arn"
  echo "$arn"
}

encryption() {
  local bucket=$1 region=$2 arn=$3
  local default='ServerSideEncryptionConfiguration.Rules[0]'
  [[ $(aws s3api get-bucket-encryption --region "$region" --bucket "$bucket" --output text \
    --query "$default.[ApplyServerSideEncryptionByDefault.KMSMasterKeyID,BucketKeyEnabled]") == "$arn"$'\t'True ]] ||
    aws s3api put-bucket-encryption --region "$region" --bucket "$bucket" --server-side-encryption-configuration \
      "{\"Rules\":[{\"ApplyServerSideEncryptionByDefault\":{\"SSEAlgorithm\":\"aws:kms\",\"KMSMasterKeyID\":\"$arn\"},\"BucketKeyEnabled\":true}]}"
}

role() {
  local role=$1
  aws iam get-role --role-name "$role" >/dev/null 2>&1 ||
    aws iam create-role --role-name "$role" --assume-role-policy-document \
      '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"sts:AssumeRole"}]}' >/dev/null
}

permissions() {
  local source=$1 replica=$2 source_key=$3 replica_key=$4
  tr -d ' \n' <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:GetReplicationConfiguration", "s3:ListBucket"],
      "Resource": "arn:aws:s3:::$source"
    },
    {
      "Effect": "Allow",
      "Action": ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"],
      "Resource": "arn:aws:s3:::$source/*"
    },
    {
      "Effect": "Allow",
      "Action": ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"],
      "Resource": "arn:aws:s3:::$replica/*"
    },
    {
      "Effect": "Allow",
      "Action": "kms:Decrypt",
      "Resource": "$source_key",
      "Condition": {
        "StringLike": {
          "kms:ViaService": "s3.$SOURCE_REGION.amazonaws.com",
          "kms:EncryptionContext:aws:s3:arn": ["arn:aws:s3:::$source", "arn:aws:s3:::$source/*"]
        }
      }
    },
    {
      "Effect": "Allow",
      "Action": ["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"],
      "Resource": "$replica_key",
      "Condition": {
        "StringLike": {
          "kms:ViaService": "s3.$REPLICA_REGION.amazonaws.com",
          "kms:EncryptionContext:aws:s3:arn": ["arn:aws:s3:::$replica", "arn:aws:s3:::$replica/*"]
        }
      }
    }
  ]
}
JSON
}

role_policy() {
  local role=$1 document=$2
  [[ $(aws iam get-role-policy --role-name "$role" --policy-name replication --query PolicyDocument --output json 2>/dev/null |
    tr -d ' \n') == "$document" ]] ||
    aws iam put-role-policy --role-name "$role" --policy-name replication --policy-document "$document"
}

replication() {
  local source=$1 replica=$2 role=$3 key=$4 actual desired
  actual=$(aws s3api get-bucket-replication --region "$SOURCE_REGION" --bucket "$source" --output text --query \
    'ReplicationConfiguration.[Role,length(Rules),Rules[0].Status,Rules[0].Filter.Prefix,Rules[0].Destination.Bucket,Rules[0].Destination.EncryptionConfiguration.ReplicaKmsKeyID,Rules[0].SourceSelectionCriteria.SseKmsEncryptedObjects.Status]' \
    2>/dev/null) || actual=none
  printf -v desired '%s\t1\tEnabled\tData/\tarn:aws:s3:::%s\t%s\tEnabled' "$role" "$replica" "$key"
  [[ $actual == "$desired" ]] ||
    aws s3api put-bucket-replication --region "$SOURCE_REGION" --bucket "$source" --replication-configuration \
      "{\"Role\":\"$role\",\"Rules\":[{\"Status\":\"Enabled\",\"Priority\":1,\"DeleteMarkerReplication\":{\"Status\":\"Disabled\"},\"Filter\":{\"Prefix\":\"Data/\"},\"Destination\":{\"Bucket\":\"arn:aws:s3:::$replica\",\"EncryptionConfiguration\":{\"ReplicaKmsKeyID\":\"$key\"}},\"SourceSelectionCriteria\":{\"SseKmsEncryptedObjects\":{\"Status\":\"Enabled\"}}}]}"
}

while read -r name source replica source_key replica_key; do
  versioning "$source" "$SOURCE_REGION"
  versioning "$replica" "$REPLICA_REGION"
  source_key=$(key "$source_key" "$SOURCE_REGION")
  replica_key=$(key "$replica_key" "$REPLICA_REGION")
  encryption "$source" "$SOURCE_REGION" "$source_key"
  encryption "$replica" "$REPLICA_REGION" "$replica_key"
  role "bench-$name"
  role_policy "bench-$name" "$(permissions "$source" "$replica" "$source_key" "$replica_key")"
  replication "$source" "$replica" "arn:aws:iam::$ACCOUNT:role/bench-$name" "$replica_key"
done <"$1"
