import { CLIENTS, type ClientName } from './client.ts';

type Reasons = Record<string, string>;

/** Recorded responses that the sandbox does not match through any client. */
const ANY_CLIENT: Reasons = {
  'c7n/test_s3_encryption_audit/s3.GetBucketEncryption_3':
    'Recorded before January 2023; since then AWS encrypts every bucket by default and no longer returns this response.',
  ...all(
    'An operation of S3 Control, which the sandbox does not implement: it returns 501.',
    'localstack/s3control.get_public_access_block/test_crud_public_access_block#get-default-public-access-block',
    'localstack/s3control.put_public_access_block/test_crud_public_access_block#put-public-access-block',
    'localstack/s3control.delete_public_access_block/test_crud_public_access_block#delete-public-access-block',
    'localstack/s3control.put_public_access_block/test_empty_public_access_block#put-public-access-block-empty',
    'localstack/s3control.list_tags_for_resource/test_tag_lifecycle#list-tags-before',
    'localstack/s3control.tag_resource/test_tag_lifecycle#tag-resource',
    'localstack/s3control.list_tags_for_resource/test_tag_lifecycle#list-tags-1',
    'localstack/s3control.list_tags_for_resource/test_tag_lifecycle#list-tags-after-update',
    'localstack/s3control.untag_resource/test_tag_lifecycle#untag-resource',
    'localstack/s3control.tag_resource/test_tag_resource_validation#tags-value-none',
    'localstack/s3control.tag_resource/test_tag_resource_validation#tags-key-aws-duplicated-key',
    'localstack/s3control.tag_resource/test_tag_resource_validation#tags-key-aws-bad-value',
    'localstack/s3control.tag_resource/test_tag_resource_validation#tags-key-aws-bad-key',
    'localstack/s3control.untag_resource/test_tag_operation_no_bucket#untag-resource-no-exist',
  ),
};

/** Recorded responses that the sandbox does not match through one client. */
const ONE_CLIENT: Record<ClientName, Reasons> = {
  'raw HTTP': {},
  'JavaScript SDK': {},
  boto3: {},
};

/**
 * Recorded responses that the sandbox does not match, with the reason, by client and fact. A test fails if the sandbox matches
 * one.
 */
export const notMet = Object.fromEntries(
  CLIENTS.map((client) => [client, { ...ANY_CLIENT, ...ONE_CLIENT[client] }]),
) as Record<ClientName, Reasons>;

function all(reason: string, ...ids: string[]): Reasons {
  return Object.fromEntries(ids.map((id) => [id, reason]));
}
