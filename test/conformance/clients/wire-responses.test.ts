import { describe, expect, it } from 'vitest';
import type { Call } from '../client.ts';
import { decodeResponse } from './wire-responses.ts';

const CREDENTIALS = { accessKeyId: '111111111111', secretAccessKey: 'secret' };
const S3 = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

const call = (service: Call['service'], operation: string): Call => ({
  service,
  operation,
  input: {},
  region: 'us-east-1',
  credentials: CREDENTIALS,
});

/** Decodes a response of S3 with this body, and these headers beside the common ones. */
function s3(operation: string, body: string, headers: Record<string, string> = {}, status = 200) {
  const common = { 'x-amz-request-id': 'R', 'x-amz-id-2': 'H', 'content-type': 'application/xml' };
  const all = { ...common, 'content-length': String(body.length), ...headers };
  return decodeResponse(call('s3', operation), { status, headers: all, body: Buffer.from(body) });
}

const location = (content: string) =>
  `${DECLARATION}<LocationConstraint ${S3}>${content}</LocationConstraint>`;
const tagging = (content: string) => `${DECLARATION}<Tagging ${S3}>${content}</Tagging>`;
const error = (content: string) => `${DECLARATION}<Error>${content}</Error>`;

describe('raw HTTP: reads a response', () => {
  // S3 API Reference, GetBucketLocation, "Response Syntax".
  it('takes the text of the only element of GetBucketLocation', () => {
    expect(s3('GetBucketLocation', location('eu-west-1'))).toMatchObject({
      output: { LocationConstraint: 'eu-west-1' },
      faults: [],
    });
  });

  it('takes code, message and the other elements of an error', () => {
    const body = error(
      '<Code>NoSuchBucket</Code><Message>gone</Message><BucketName>b</BucketName><RequestId>R</RequestId><HostId>H</HostId>',
    );
    expect(s3('GetBucketTagging', body, {}, 404)).toMatchObject({
      code: 'NoSuchBucket',
      message: 'gone',
      output: { BucketName: 'b' },
      faults: [],
    });
  });

  it('takes members of any order, and lists with and without an element around them', () => {
    const body = `${DECLARATION}<ListVersionsResult ${S3}><MaxKeys>1</MaxKeys><Version><Key>b</Key></Version><Name>n</Name><Version><Key>a</Key></Version></ListVersionsResult>`;
    expect(s3('ListObjectVersions', body)).toMatchObject({
      output: { Name: 'n', MaxKeys: 1, Versions: [{ Key: 'b' }, { Key: 'a' }] },
      faults: [],
    });
    expect(s3('GetBucketTagging', tagging('<TagSet><Tag><Key>k</Key><Value/></Tag></TagSet>'))).toMatchObject(
      {
        output: { TagSet: [{ Key: 'k', Value: '' }] },
        faults: [],
      },
    );
  });
});

const GONE = '<Code>C</Code><Message/><RequestId>R</RequestId><HostId>H</HostId>';

describe('raw HTTP: reports a departure from the documented form', () => {
  it.each([
    [
      'an element in the only element of GetBucketLocation',
      s3('GetBucketLocation', location('<LocationConstraint>eu-west-1</LocationConstraint>')),
      'an element in LocationConstraint, which is a text',
    ],
    ['an unknown element', s3('GetBucketTagging', tagging('<Tags/>')), 'unknown element Tags in Tagging'],
    [
      'an unknown element of a list',
      s3('GetBucketTagging', tagging('<TagSet><member/></TagSet>')),
      'unknown element member in the list TagSet',
    ],
    [
      'a second element',
      s3('GetBucketTagging', tagging('<TagSet/><TagSet/>')),
      'a second element TagSet in Tagging',
    ],
    [
      'a text beside elements',
      s3('GetBucketTagging', tagging('text<TagSet/>')),
      'a text in Tagging, which has elements',
    ],
    [
      'no namespace',
      s3('GetBucketTagging', `${DECLARATION}<Tagging><TagSet/></Tagging>`),
      'namespace of Tagging: AWS http://s3.amazonaws.com/doc/2006-03-01/, actual null',
    ],
    [
      'another root element',
      s3('GetBucketTagging', `${DECLARATION}<TagSet ${S3}/>`),
      'root element: AWS Tagging, actual TagSet',
    ],
    ['no XML declaration', s3('GetBucketTagging', `<Tagging ${S3}/>`), 'no XML declaration'],
    [
      'another content type',
      s3('GetBucketTagging', tagging(''), { 'content-type': 'text/plain' }),
      'content-type: AWS application/xml, actual text/plain',
    ],
    [
      'a malformed number',
      s3(
        'ListObjectVersions',
        `${DECLARATION}<ListVersionsResult ${S3}><MaxKeys>x</MaxKeys></ListVersionsResult>`,
      ),
      'MaxKeys is no number: x',
    ],
    [
      'a header that the operation does not have',
      s3('GetBucketTagging', tagging(''), { 'x-amz-version-id': 'v' }),
      'the header x-amz-version-id: v in a response 200',
    ],
    [
      'no request id',
      s3('GetBucketTagging', tagging(''), { 'x-amz-request-id': '' }),
      'no header x-amz-request-id',
    ],
    [
      'a body that must be empty',
      s3('DeleteBucket', 'text', {}, 204),
      'a body, which this response does not have',
    ],
    [
      'an error with a namespace',
      s3('GetBucketTagging', `${DECLARATION}<Error ${S3}>${GONE}</Error>`, {}, 404),
      'namespace of Error: AWS null, actual http://s3.amazonaws.com/doc/2006-03-01/',
    ],
    [
      'an error with the id of another request',
      s3('GetBucketTagging', error(GONE), { 'x-amz-request-id': 'other' }, 404),
      'RequestId differs from x-amz-request-id',
    ],
  ])('%s', (_, { faults }, fault) => {
    expect(faults).toEqual([fault]);
  });

  it('XML that is not well-formed', () => {
    expect(s3('GetBucketTagging', `${DECLARATION}<Tagging>`).faults).toEqual([
      expect.stringMatching(/^the body is no well-formed XML/),
    ]);
  });

  it('a body in the response to HEAD', () => {
    expect(s3('HeadBucket', 'text', {}, 404)).toMatchObject({
      code: '404',
      message: 'Not Found',
      faults: ['a body in the response to HEAD'],
    });
  });

  it('another JSON type and an unknown member of KMS', () => {
    const body = JSON.stringify({ KeyMetadata: { Enabled: 'true', CreationDate: '2026-01-01', Extra: 1 } });
    const headers = { 'x-amzn-requestid': 'R', 'content-type': 'application/x-amz-json-1.1' };
    const { faults } = decodeResponse(call('kms', 'DescribeKey'), {
      status: 200,
      headers,
      body: Buffer.from(body),
    });
    expect(faults).toEqual([
      'DescribeKey.KeyMetadata.Enabled is no boolean: "true"',
      'DescribeKey.KeyMetadata.CreationDate is no time: "2026-01-01"',
      'unknown member DescribeKey.KeyMetadata.Extra',
    ]);
  });

  it('a response of the Query protocol without the element of its result', () => {
    const body =
      '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Account>1</Account></GetCallerIdentityResponse>';
    const headers = { 'x-amzn-requestid': 'R', 'content-type': 'text/xml' };
    const { faults } = decodeResponse(call('sts', 'GetCallerIdentity'), {
      status: 200,
      headers,
      body: Buffer.from(body),
    });
    expect(faults[0]).toBe('elements: AWS GetCallerIdentityResult,ResponseMetadata, actual Account');
  });
});
