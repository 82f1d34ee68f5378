import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operations } from '../../src/sandbox/protocol/operations.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { clientOf } from './support.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());

interface RawRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** Sends a request without the checks of a client. */
const send = ({ method, path, headers = {}, body }: RawRequest): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(sandbox.endpoint);
    const outgoing = request({ hostname, port, method, path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });

const signedFor = (service: string): Record<string, string> => ({
  authorization: `AWS4-HMAC-SHA256 Credential=111122223333/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
});

/** The response is a client error or "not implemented", never an internal error of the sandbox. */
const isNoInternalError = ({ status }: { status: number }) => status < 500 || status === 501;

const json = fc.json({ maxDepth: 3 });
const name = fc.oneof(fc.constantFrom('acme-tax', 'alias/x', 'r', ''), fc.string({ maxLength: 8 }));

describe('sandbox: random requests cause no internal error', () => {
  test('in the protocol of KMS', async () => {
    const operation = fc.constantFrom(...operations.kms.keys(), 'Nonsense');
    const body = fc.oneof(
      json,
      fc.string(),
      json.map((text) => `{"KeyId":${text},"Policy":${text},"Tags":${text}}`),
    );
    await fc.assert(
      fc.asyncProperty(operation, body, async (target, text) => {
        const headers = { ...signedFor('kms'), 'x-amz-target': `TrentService.${target}` };
        const response = await send({ method: 'POST', path: '/', headers, body: text });
        expect(response, `${target} ${text}`).toSatisfy(isNoInternalError);
      }),
      { numRuns: 400 },
    );
  });

  test.each(['iam', 'sts'] as const)('in the protocol of %s', async (service) => {
    const operation = fc.constantFrom(...operations[service].keys(), 'Nonsense');
    const field = fc.constantFrom(
      'RoleName',
      'PolicyDocument',
      'Tags.member.1.Key',
      'Tags.member',
      'a.b.1',
      'RoleArn',
      'AssumeRolePolicyDocument',
      'MaxItems',
    );
    const form = fc.array(fc.tuple(field, fc.oneof(name, json)), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(operation, form, async (action, fields) => {
        const body = new URLSearchParams([['Action', action], ...fields]).toString();
        const response = await send({ method: 'POST', path: '/', headers: signedFor(service), body });
        expect(response, body).toSatisfy(isNoInternalError);
      }),
      { numRuns: 400 },
    );
  });

  test('in the protocol of S3', async () => {
    const path = fc.oneof(
      fc.constantFrom(
        '/',
        '//',
        '/%',
        '/acme-tax',
        '/acme-tax/',
        '/acme-tax/%ZZ',
        '/acme-tax/a%2Fb',
        '/../../etc',
      ),
      fc.webPath(),
    );
    const query = fc.constantFrom(
      '',
      'versioning',
      'replication',
      'encryption',
      'policy',
      'tagging',
      'uploads',
      'uploadId=x&partNumber=0',
      'versionId=',
      'list-type=2&max-keys=-1',
      'versions&max-keys=x',
      'delete',
      'publicAccessBlock',
      'ownershipControls',
      'acl',
      'nonsense',
      'object-lock',
      'partNumber=999999999999&uploadId=1',
    );
    const method = fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS');
    const element = fc.constantFrom(
      'ReplicationConfiguration',
      'VersioningConfiguration',
      'Tagging',
      'Delete',
      'Rule',
      'a',
    );
    const xml = fc
      .tuple(element, element, name)
      .map(([outer, inner, text]) => `<${outer}><${inner}>${text}</${inner}></${outer}>`);
    const body = fc.oneof(
      xml,
      fc.string(),
      fc.constant('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
      fc.constant(''),
    );
    const header = fc.constantFrom<Record<string, string>>(
      {},
      { 'content-md5': 'x' },
      { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'x-amz-decoded-content-length': '3' },
      { 'x-amz-copy-source': '/%E0%A4%A' },
      { range: 'bytes=9-1' },
      { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'x' },
      { 'x-amz-tagging': '=&=&%' },
      { 'if-match': '"' },
    );
    await clientOf(sandbox, '111122223333').accountId(undefined);
    await send({ method: 'PUT', path: '/acme-tax', headers: signedFor('s3') });
    await fc.assert(
      fc.asyncProperty(method, path, query, header, body, async (verb, path, query, extraHeaders, text) => {
        const headers = { ...signedFor('s3'), ...extraHeaders };
        const target = `${path}${query && `?${query}`}`;
        const hasBody = !['GET', 'HEAD'].includes(verb);
        const response = await send({
          method: verb,
          path: target,
          headers,
          ...(hasBody ? { body: text } : {}),
        });
        expect(response, `${verb} ${target} ${JSON.stringify(extraHeaders)} ${text}`).toSatisfy(
          isNoInternalError,
        );
      }),
      { numRuns: 1_500 },
    );
  });
});

describe('sandbox: an operation that is not implemented', () => {
  test.each([
    [
      'kms',
      {
        method: 'POST',
        path: '/',
        headers: { ...signedFor('kms'), 'x-amz-target': 'TrentService.Sign' },
        body: '{}',
      },
    ],
    ['iam', { method: 'POST', path: '/', headers: signedFor('iam'), body: 'Action=CreateUser&UserName=u' }],
    ['s3', { method: 'GET', path: '/acme-tax?metadataTable', headers: signedFor('s3') }],
  ])('returns 501 in %s', async (_, rawRequest) => {
    const { status, body } = await send(rawRequest);
    expect(status).toBe(501);
    expect(body).toContain('NotImplemented');
  });
});

test('sandbox: rejects a request without credentials', async () => {
  expect(await send({ method: 'GET', path: '/' })).toMatchObject({ status: 403 });
});
