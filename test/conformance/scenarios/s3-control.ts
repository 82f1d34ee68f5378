import type { Aws } from '../aws.ts';
import { arn, bucket, type Scenarios, unique } from '../support.ts';

const BLOCK = 'test_crud_public_access_block#';
const TAGS = 'test_tag_lifecycle#';
const BAD_TAGS = 'localstack/s3control.tag_resource/test_tag_resource_validation#';

export const s3Control: Scenarios = {
  [`localstack/s3control.get_public_access_block/${BLOCK}get-default-public-access-block`]: (aws) =>
    control(aws, 'GetPublicAccessBlock'),
  [`localstack/s3control.put_public_access_block/${BLOCK}put-public-access-block`]: (aws) =>
    putPublicAccessBlock(aws, { BlockPublicAcls: false, IgnorePublicAcls: false, BlockPublicPolicy: false }),
  [`localstack/s3control.delete_public_access_block/${BLOCK}delete-public-access-block`]: (aws) =>
    control(aws, 'DeletePublicAccessBlock'),
  'localstack/s3control.put_public_access_block/test_empty_public_access_block#put-public-access-block-empty':
    (aws) => putPublicAccessBlock(aws, {}),

  [`localstack/s3control.list_tags_for_resource/${TAGS}list-tags-before`]: async (aws) =>
    list(aws, await bucket(aws)),
  [`localstack/s3control.tag_resource/${TAGS}tag-resource`]: async (aws) => tag(aws, await bucket(aws), TWO),
  [`localstack/s3control.list_tags_for_resource/${TAGS}list-tags-1`]: async (aws) =>
    list(aws, await tagged(aws, TWO)),
  [`localstack/s3control.list_tags_for_resource/${TAGS}list-tags-after-update`]: async (aws) => {
    const name = await tagged(aws, TWO);
    await tag(aws, name, [['key3', 'value3']]);
    return list(aws, name);
  },
  [`localstack/s3control.untag_resource/${TAGS}untag-resource`]: async (aws) =>
    untag(aws, await tagged(aws, [...TWO, ['key3', 'value3']]), 'key3'),
  [`${BAD_TAGS}tags-value-none`]: async (aws) => tag(aws, await bucket(aws), [['key1', undefined]]),
  [`${BAD_TAGS}tags-key-aws-duplicated-key`]: async (aws) =>
    tag(aws, await bucket(aws), [
      ['key1', 'value1'],
      ['key1', 'value1'],
    ]),
  [`${BAD_TAGS}tags-key-aws-bad-value`]: async (aws) =>
    tag(aws, await bucket(aws), [['test', 'value1,value2']]),
  [`${BAD_TAGS}tags-key-aws-bad-key`]: async (aws) => tag(aws, await bucket(aws), [['test,test2', 'value1']]),
  'localstack/s3control.untag_resource/test_tag_operation_no_bucket#untag-resource-no-exist': (aws) =>
    untag(aws, unique('absent'), 'key1'),
};

type Tags = [key: string, value: string | undefined][];

const TWO: Tags = [
  ['key1', 'value1'],
  ['key2', 'value2'],
];

function putPublicAccessBlock(aws: Aws, PublicAccessBlockConfiguration: object) {
  return control(aws, 'PutPublicAccessBlock', { PublicAccessBlockConfiguration });
}

function list(aws: Aws, name: string) {
  return control(aws, 'ListTagsForResource', { ResourceArn: arn(name) });
}

function tag(aws: Aws, name: string, tags: Tags) {
  const Tags = tags.map(([Key, Value]) => ({ Key, Value }));
  return control(aws, 'TagResource', { ResourceArn: arn(name), Tags });
}

function untag(aws: Aws, name: string, tagKey: string) {
  return control(aws, 'UntagResource', { ResourceArn: arn(name), TagKeys: [tagKey] });
}

async function tagged(aws: Aws, tags: Tags): Promise<string> {
  const name = await bucket(aws);
  await tag(aws, name, tags);
  return name;
}

function control(aws: Aws, operation: string, input: object = {}) {
  return aws.call('s3control', operation, { AccountId: aws.account, ...input });
}
