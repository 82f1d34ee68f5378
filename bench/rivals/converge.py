"""Configures the pairs of the walkthrough with boto3. Idempotent: it reads first, and writes only differences.

converge.py FILE [THREADS]; the file is a JSON list of {name, source, replica, sourceKey, replicaKey}.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

SOURCE_REGION = "us-east-1"
REPLICA_REGION = "us-west-2"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}

file, threads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
config = Config(max_pool_connections=max(10, threads))
s3 = {region: boto3.client("s3", region, config=config) for region in (SOURCE_REGION, REPLICA_REGION)}
kms = {region: boto3.client("kms", region, config=config) for region in (SOURCE_REGION, REPLICA_REGION)}
iam = boto3.client("iam", config=config)


def absent(call, code, **arguments):
    """Returns the response to a call; None if AWS reports that the resource does not exist."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None


def versioning(bucket, region):
    if s3[region].get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        s3[region].put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def key(name, region):
    if name.startswith("arn:"):
        return name
    found = absent(kms[region].describe_key, "NotFoundException", KeyId=name)
    if found:
        return found["KeyMetadata"]["Arn"]
    arn = kms[region].create_key()["KeyMetadata"]["Arn"]
    kms[region].create_alias(AliasName=name, TargetKeyId=arn)
    return arn


def encryption(bucket, region, arn):
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}
    rule = s3[region].get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    if rule["ApplyServerSideEncryptionByDefault"] == default and rule["BucketKeyEnabled"]:
        return
    s3[region].put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
        },
    )


def role(name):
    found = absent(iam.get_role, "NoSuchEntity", RoleName=name) or iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST)
    )
    if found["Role"]["AssumeRolePolicyDocument"] != TRUST:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(TRUST))
    return found["Role"]["Arn"]


def permissions(pair, source_key, replica_key):
    source, replica = f"arn:aws:s3:::{pair['source']}", f"arn:aws:s3:::{pair['replica']}"

    def allow(actions, resource, region=None, context=None):
        statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
        if context:
            statement["Condition"] = {
                "StringLike": {
                    "kms:ViaService": f"s3.{region}.amazonaws.com",
                    "kms:EncryptionContext:aws:s3:arn": [context, f"{context}/*"],
                }
            }
        return statement

    return {
        "Version": "2012-10-17",
        "Statement": [
            allow(["s3:GetReplicationConfiguration", "s3:ListBucket"], source),
            allow(
                ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"],
                f"{source}/*",
            ),
            allow(["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"], f"{replica}/*"),
            allow(["kms:Decrypt"], source_key, SOURCE_REGION, source),
            allow(["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"], replica_key, REPLICA_REGION, replica),
        ],
    }


def role_policy(name, document):
    found = absent(iam.get_role_policy, "NoSuchEntity", RoleName=name, PolicyName="replication")
    if not found or found["PolicyDocument"] != document:
        iam.put_role_policy(RoleName=name, PolicyName="replication", PolicyDocument=json.dumps(document))


def replication(pair, role_arn, replica_key):
    wanted = {
        "Role": role_arn,
        "Rules": [
            {
                "ID": pair["name"],
                "Priority": 1,
                "Filter": {"Prefix": "Data/"},
                "Status": "Enabled",
                "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
                "Destination": {
                    "Bucket": f"arn:aws:s3:::{pair['replica']}",
                    "EncryptionConfiguration": {"ReplicaKmsKeyID": replica_key},
                },
                "DeleteMarkerReplication": {"Status": "Disabled"},
            }
        ],
    }
    client = s3[SOURCE_REGION]
    found = absent(
        client.get_bucket_replication, "ReplicationConfigurationNotFoundError", Bucket=pair["source"]
    )
    if not found or found["ReplicationConfiguration"] != wanted:
        client.put_bucket_replication(Bucket=pair["source"], ReplicationConfiguration=wanted)


def converge(pair):
    versioning(pair["source"], SOURCE_REGION)
    versioning(pair["replica"], REPLICA_REGION)
    source_key = key(pair["sourceKey"], SOURCE_REGION)
    replica_key = key(pair["replicaKey"], REPLICA_REGION)
    encryption(pair["source"], SOURCE_REGION, source_key)
    encryption(pair["replica"], REPLICA_REGION, replica_key)
    role_arn = role(f"bench-{pair['name']}")
    role_policy(f"bench-{pair['name']}", permissions(pair, source_key, replica_key))
    replication(pair, role_arn, replica_key)


with open(file) as pairs, ThreadPoolExecutor(threads) as pool:
    for _ in pool.map(converge, json.load(pairs)):
        pass
