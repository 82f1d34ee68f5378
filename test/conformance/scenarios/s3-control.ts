import { PutPublicAccessBlockCommand } from '@aws-sdk/client-s3';
import { type Aws, send } from '../aws.ts';
import { arn, bucket, type Scenarios, unique } from '../support.ts';

const BLOCK = 'test_crud_public_access_block#';
const TAGS = 'test_tag_lifecycle#';
const BAD_TAGS = 'localstack/s3control.tag_resource/test_tag_resource_validation#';

/** Operations of S3 Control, sent through the S3 client: they do not justify a dependency on another SDK client. */
export const s3Control: Scenarios = {
  [`localstack/s3control.get_public_access_block/${BLOCK}get-default-public-access-block`]: (aws) =>
    publicAccessBlock(aws, 'GET'),
  [`localstack/s3control.put_public_access_block/${BLOCK}put-public-access-block`]: (aws) =>
    publicAccessBlock(
      aws,
      'PUT',
      '<BlockPublicAcls>false</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls>' +
        '<BlockPublicPolicy>false</BlockPublicPolicy>',
    ),
  [`localstack/s3control.delete_public_access_block/${BLOCK}delete-public-access-block`]: (aws) =>
    publicAccessBlock(aws, 'DELETE'),
  'localstack/s3control.put_public_access_block/test_empty_public_access_block#put-public-access-block-empty':
    (aws) => publicAccessBlock(aws, 'PUT', ''),

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

function publicAccessBlock(aws: Aws, method: string, settings?: string) {
  const body =
    settings === undefined
      ? ''
      : `<PublicAccessBlockConfiguration>${settings}</PublicAccessBlockConfiguration>`;
  return control(aws, { method, path: '/v20180820/configuration/publicAccessBlock', body });
}

function list(aws: Aws, name: string) {
  return control(aws, { method: 'GET', path: tagsOf(name) });
}

function tag(aws: Aws, name: string, tags: Tags) {
  const items = tags.map(([key, value]) => {
    const valueElement = value === undefined ? '' : `<Value>${value}</Value>`;
    return `<Tag><Key>${key}</Key>${valueElement}</Tag>`;
  });
  const body = `<TagResourceRequest><Tags>${items.join('')}</Tags></TagResourceRequest>`;
  return control(aws, { method: 'POST', path: tagsOf(name), body });
}

function untag(aws: Aws, name: string, tagKeys: string) {
  return control(aws, { method: 'DELETE', path: tagsOf(name), query: { tagKeys } });
}

async function tagged(aws: Aws, tags: Tags): Promise<string> {
  const name = await bucket(aws);
  await tag(aws, name, tags);
  return name;
}

function tagsOf(name: string): string {
  return `/v20180820/tags/${encodeURIComponent(arn(name))}`;
}

interface ControlRequest {
  method: string;
  path: string;
  query?: Record<string, string>;
  body?: string;
}

function control(aws: Aws, { method, path, query = {}, body = '' }: ControlRequest) {
  const carrier = new PutPublicAccessBlockCommand({ Bucket: 'carrier', PublicAccessBlockConfiguration: {} });
  return send(aws.s3, carrier, (request) => {
    request.method = method;
    request.path = path;
    request.query = query;
    request.body = body;
    request.headers['x-amz-account-id'] = aws.account;
  });
}
