"""Performs the operations of the checks with boto3."""

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from lines import ACCOUNT, PART_BYTES, SECRET, serve

TRANSFER = TransferConfig(
    multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4
)


def connect(endpoint, region, proxy=None):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=SECRET,
        config=Config(
            **({} if proxy is None else {"proxies": {"http": proxy}, "s3": {"addressing_style": "virtual"}}),
        ),
    )


def create_bucket(s3, bucket):
    region = s3.meta.region_name
    location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **location)


def region_of(s3, bucket):
    location = s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
    head = s3.head_bucket(Bucket=bucket)["BucketRegion"]
    if location != head:
        raise AssertionError(f"GetBucketLocation returned {location}, HeadBucket {head}")
    return location


def get_range(s3, bucket, key, file, start, end):
    response = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}")
    with open(file, "wb") as target:
        target.write(response["Body"].read())


def put_multipart(s3, bucket, key, file, keyId):
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": keyId}
    s3.upload_file(file, bucket, key, ExtraArgs=encryption, Config=TRANSFER)


def list_keys(s3, bucket, prefix):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def list_versions(s3, bucket, prefix):
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [
        {
            "key": entry["Key"],
            "versionId": entry["VersionId"],
            "isLatest": entry["IsLatest"],
            "isDeleteMarker": element == "DeleteMarkers",
        }
        for page in pages
        for element in ("Versions", "DeleteMarkers")
        for entry in page.get(element, [])
    ]


def presigned(method):
    return lambda s3, bucket, key: s3.generate_presigned_url(method, Params={"Bucket": bucket, "Key": key})


serve(
    connect,
    {
        "createBucket": create_bucket,
        "regionOf": region_of,
        "put": lambda s3, bucket, key, file: s3.upload_file(file, bucket, key, Config=TRANSFER),
        "get": lambda s3, bucket, key, file: s3.download_file(bucket, key, file, Config=TRANSFER),
        "getRange": get_range,
        "putMultipart": put_multipart,
        "copy": lambda s3, bucket, key, toBucket, toKey: s3.copy(
            {"Bucket": bucket, "Key": key}, toBucket, toKey, Config=TRANSFER
        ),
        "list": list_keys,
        "listVersions": list_versions,
        "delete": lambda s3, bucket, key: s3.delete_object(Bucket=bucket, Key=key) and None,
        "deleteVersion": lambda s3, bucket, key, versionId, lastModified: s3.delete_object(
            Bucket=bucket, Key=key, VersionId=versionId
        )
        and None,
        "presignGet": presigned("get_object"),
        "presignPut": presigned("put_object"),
    },
)
