"""Performs the operations of the checks with minio-py."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import urllib3
from lines import ACCOUNT, PART_BYTES, SECRET, serve
from minio import Minio
from minio.commonconfig import CopySource
from minio.sse import SseKMS


class Connection:
    """Two clients: one of the Region of the settings, and one that asks for the Region of each bucket."""

    def __init__(self, endpoint, region, proxy=None):
        self.region = region
        self.client = connect_to(endpoint, region, proxy)
        self.without_region = connect_to(endpoint, None, proxy)


def connect_to(endpoint, region, proxy):
    pool = None if proxy is None else urllib3.ProxyManager(proxy)
    client = Minio(
        urlsplit(endpoint).netloc,
        access_key=ACCOUNT,
        secret_key=SECRET,
        secure=False,
        region=region,
        http_client=pool,
    )
    if proxy is not None:
        client.enable_virtual_style_endpoint()
    return client


def region_of(s3, bucket):
    # The signature contains the Region, which the client requests with GetBucketLocation.
    url = s3.without_region.presigned_get_object(bucket, "any")
    return parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2]


def get_range(s3, bucket, key, file, start, end):
    response = s3.client.get_object(bucket, key, offset=start, length=end - start)
    try:
        with open(file, "wb") as target:
            target.write(response.read())
    finally:
        response.close()
        response.release_conn()


def put_multipart(s3, bucket, key, file, keyId):
    s3.client.fput_object(bucket, key, file, part_size=PART_BYTES, sse=SseKMS(keyId, {}))


def list_versions(s3, bucket, prefix):
    entries = s3.client.list_objects(bucket, prefix=prefix, recursive=True, include_version=True)
    return [
        {
            "key": entry.object_name,
            "versionId": entry.version_id,
            "isLatest": str(entry.is_latest).lower() == "true",
            "isDeleteMarker": entry.is_delete_marker,
        }
        for entry in entries
    ]


def get(s3, bucket, key, file):
    s3.client.fget_object(bucket, key, file)


serve(
    Connection,
    {
        "createBucket": lambda s3, bucket: s3.client.make_bucket(bucket, location=s3.region),
        "regionOf": region_of,
        "put": lambda s3, bucket, key, file: s3.client.fput_object(bucket, key, file) and None,
        "get": get,
        "getRange": get_range,
        "putMultipart": put_multipart,
        "copy": lambda s3, bucket, key, toBucket, toKey: s3.client.copy_object(
            toBucket, toKey, CopySource(bucket, key)
        )
        and None,
        "list": lambda s3, bucket, prefix: [
            entry.object_name for entry in s3.client.list_objects(bucket, prefix=prefix, recursive=True)
        ],
        "listVersions": list_versions,
        "delete": lambda s3, bucket, key: s3.client.remove_object(bucket, key),
        "deleteVersion": lambda s3, bucket, key, versionId, lastModified: s3.client.remove_object(
            bucket, key, version_id=versionId
        ),
        "presignGet": lambda s3, bucket, key: s3.client.presigned_get_object(
            bucket, key, expires=timedelta(hours=1)
        ),
        "presignPut": lambda s3, bucket, key: s3.client.presigned_put_object(
            bucket, key, expires=timedelta(hours=1)
        ),
    },
)
