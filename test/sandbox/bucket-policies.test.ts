import { CreateRoleCommand, DeleteRoleCommand } from '@aws-sdk/client-iam';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';
import { clientOf, EAST } from './support.ts';

const ACCOUNT = '111122223333';
const OTHER = '444455556666';
const BUCKET = 'acme-demo-bucket';
const ARN = `arn:aws:s3:::${BUCKET}`;
const ALL_OBJECTS = `${ARN}/*`;
const OTHER_ROOT = `arn:aws:iam::${OTHER}:root`;

let sandbox: Sandbox;
let send: SendRequest;

beforeAll(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint, { account: ACCOUNT });
  await send('PUT', `/${BUCKET}`);
});

afterAll(() => sandbox.close());

beforeEach(async () => {
  await send('DELETE', `/${BUCKET}?policy`);
  await setPublicAccess({ BlockPublicPolicy: true });
});

const putPolicy = (body: string, account = ACCOUNT) => send('PUT', `/${BUCKET}?policy`, { body, account });

const getPolicy = async () => (await send('GET', `/${BUCKET}?policy`)).text;

const setPublicAccess = (settings: Record<string, boolean>) =>
  send('PUT', `/${BUCKET}?publicAccessBlock`, {
    body: `<PublicAccessBlockConfiguration>${Object.entries(settings)
      .map(([name, value]) => `<${name}>${value}</${name}>`)
      .join('')}</PublicAccessBlockConfiguration>`,
  });

/** A statement that S3 accepts. */
const READ = {
  Effect: 'Allow',
  Principal: { AWS: OTHER_ROOT },
  Action: 's3:GetObject',
  Resource: ALL_OBJECTS,
};

const policyOf = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });

/** Returns status, code, message and detail of an error. */
async function errorOf(body: string) {
  const { status, text } = await putPolicy(body);
  const unescaped = text.replaceAll('&quot;', '"').replaceAll('&apos;', "'");
  const [code, message, detail] = ['Code', 'Message', 'Detail'].map((name) => elementsOf(unescaped, name)[0]);
  return { status, code, message, ...(detail === undefined ? {} : { detail }) };
}

const malformed = (message: string, detail?: string) => ({
  status: 400,
  code: 'MalformedPolicy',
  message,
  ...(detail === undefined ? {} : { detail }),
});

const NOT_APPLICABLE = 'Conditions do not apply to combination of actions and resources in statement';

describe('PutBucketPolicy: rejects a policy with the message of S3', () => {
  test.each<[reason: string, policy: string, message: string, detail?: string]>([
    // Recorded: localstack test_s3_api.py::TestS3BucketPolicy::test_bucket_policy_exc.
    ['an empty document', '', "Policies must be valid JSON and the first byte must be '{'"],
    ['an object without statements', '{}', 'Missing required field Statement'],
    // S3's own words: the first byte.
    [
      'white space before the object',
      ` ${policyOf(READ)}`,
      "Policies must be valid JSON and the first byte must be '{'",
    ],
    // Quoted from S3 in versity/versitygw#646, #647, #650, auth/bucket_policy.go.
    ['invalid JSON', '{"Statement": [}', 'This policy contains invalid Json'],
    ['no statement in the list', '{"Statement": []}', 'Could not parse the policy: Statement is empty!'],
    [
      'an unknown version',
      '{"Version": "2020-01-01", "Statement": []}',
      'The policy must contain a valid version string',
    ],
    ['an unknown effect', policyOf({ ...READ, Effect: 'hello' }), 'Invalid effect: hello'],
    [
      'an unknown operator',
      policyOf({ ...READ, Condition: { StringIs: { 'aws:userid': 'x' } } }),
      'Invalid Condition type : StringIs',
    ],
    [
      'an invalid address',
      policyOf({ ...READ, Condition: { IpAddress: { 'aws:SourceIp': '1.2.3' } } }),
      'Invalid IP address in Conditions',
    ],
    // Quoted from S3 in a write-up of an apply: `MalformedPolicy: Unknown field condition`.
    ['an unknown element', policyOf({ ...READ, condition: {} }), 'Unknown field condition'],
    ['no effect', policyOf({ ...READ, Effect: undefined }), 'Missing required field Effect'],
    ['no principal', policyOf({ ...READ, Principal: undefined }), 'Missing required field Principal'],
    ['no action', policyOf({ ...READ, Action: undefined }), 'Missing required field Action'],
    ['no resource', policyOf({ ...READ, Resource: undefined }), 'Missing required field Resource'],
    ['an action that is null', policyOf({ ...READ, Action: null }), 'Invalid policy syntax.'],
    ['a principal that is an ARN', policyOf({ ...READ, Principal: OTHER_ROOT }), 'Invalid policy syntax.'],
    [
      'Allow with NotPrincipal',
      policyOf({ ...READ, Principal: undefined, NotPrincipal: { AWS: OTHER_ROOT } }),
      'Allow with NotPrincipal is not allowed.',
    ],
    // An action that S3 does not have, that no bucket policy can grant, or that belongs to another service.
    [
      'an unknown action',
      policyOf({ ...READ, Action: 's3:PutObjectLockConfiguration' }),
      'Policy has invalid action',
      's3:PutObjectLockConfiguration',
    ],
    [
      'an action on the account',
      policyOf({ ...READ, Action: 's3:ListAllMyBuckets', Resource: ARN }),
      'Policy has invalid action',
      's3:ListAllMyBuckets',
    ],
    [
      'an action on a bucket that does not exist',
      policyOf({ ...READ, Action: 's3:CreateBucket', Resource: ARN }),
      'Policy has invalid action',
      's3:CreateBucket',
    ],
    [
      'an action of KMS',
      policyOf({ ...READ, Action: ['s3:GetObject', 'kms:Decrypt'] }),
      'Policy has invalid action',
      'kms:Decrypt',
    ],
    // aws-samples/aws-serverless-appsync-app#4, noobaa/noobaa-core#10058.
    [
      'another bucket',
      policyOf({ ...READ, Resource: 'arn:aws:s3:::another/*' }),
      'Policy has invalid resource',
      'arn:aws:s3:::another/*',
    ],
    [
      'a bucket whose name begins the same',
      policyOf({ ...READ, Resource: `${ARN}-2/*` }),
      'Policy has invalid resource',
      `${ARN}-2/*`,
    ],
    ['every resource', policyOf({ ...READ, Resource: '*' }), 'Policy has invalid resource', '*'],
    [
      'every bucket',
      policyOf({ ...READ, Resource: 'arn:aws:s3:::*' }),
      'Policy has invalid resource',
      'arn:aws:s3:::*',
    ],
    [
      'another partition',
      policyOf({ ...READ, Resource: `arn:aws-cn:s3:::${BUCKET}/*` }),
      'Policy has invalid resource',
      `arn:aws-cn:s3:::${BUCKET}/*`,
    ],
    // ministryofjustice/modernisation-platform#10762, versity/versitygw#645.
    [
      'an object action on a bucket',
      policyOf({ ...READ, Resource: ARN }),
      'Action does not apply to any resource(s) in statement',
      'Action "s3:GetObject" in Statement "NO_ID-0"',
    ],
    [
      'a bucket action on objects',
      policyOf(READ, { ...READ, Sid: 'List', Action: 's3:List*Versions' }),
      'Action does not apply to any resource(s) in statement',
      'Action "s3:List*Versions" in Statement "List"',
    ],
    // OSC/openondemand#31 quotes it for s3:VersionStatus.
    [
      'an unknown key',
      policyOf({ ...READ, Condition: { StringEquals: { 's3:VersionStatus': 'x' } } }),
      'Policy has an invalid condition key',
    ],
    [
      'a key of another service',
      policyOf({ ...READ, Condition: { StringEquals: { 'kms:ViaService': 'x' } } }),
      'Policy has an invalid condition key',
    ],
  ])('%s', async (_, policy, message, detail) => {
    expect(await errorOf(policy)).toEqual(malformed(message, detail));
    expect((await send('GET', `/${BUCKET}?policy`)).status).toBe(404);
  });

  // Service Authorization Reference; the combinations were tried against S3 by a public test suite.
  test.each([
    ['s3:GetObject', 's3:prefix', ALL_OBJECTS],
    ['s3:PutObject', 's3:ExistingObjectTag/team', ALL_OBJECTS],
    ['s3:GetObjectRetention', 's3:ExistingObjectTag/team', ALL_OBJECTS],
    ['s3:PutObjectAcl', 's3:RequestObjectTag/team', ALL_OBJECTS],
    ['s3:GetObject,s3:PutObject', 's3:x-amz-acl', ALL_OBJECTS],
    ['s3:GetObject,s3:PutObject', 's3:x-amz-server-side-encryption', ALL_OBJECTS],
    ['s3:ListBucketMultipartUploads', 's3:prefix', ARN],
  ])('%s under the condition key %s', async (actions, key, Resource) => {
    const statement = { ...READ, Action: actions.split(','), Resource };
    const { message } = await errorOf(
      policyOf({ ...statement, Condition: { StringEquals: { [key]: 'x' } } }),
    );
    expect(message).toBe(NOT_APPLICABLE);
  });

  // "Normalized": 2021 report humancellatlas/dcp2#372, and the S3 User Guide: 20 KB.
  test('more than 20,480 bytes without white space', async () => {
    const statements = Array.from({ length: 160 }, (_, index) => ({
      ...READ,
      Resource: `${ARN}/${index}/*`,
    }));
    expect(await errorOf(policyOf(...statements))).toEqual(
      malformed('Normalized policy document exceeds the maximum allowed size of 20480 bytes'),
    );
    const spaced = JSON.stringify({ Version: '2012-10-17', Statement: statements.slice(0, 80) }, null, 40);
    expect(spaced.length).toBeGreaterThan(20_480);
    expect((await putPolicy(spaced)).status).toBe(204);
  });

  // AWS knowledge center, "Invalid principal in policy": the principal does not exist, or was deleted.
  test('a principal that does not exist, or was deleted', async () => {
    const role = 'arn:aws:iam::111122223333:role/reader';
    const invalid = (type: string, principal: string) =>
      malformed('Invalid principal in policy', `"${type}" : "${principal}"`);
    const grantTo = (Principal: object) => policyOf({ ...READ, Principal });
    expect(await errorOf(grantTo({ AWS: role }))).toEqual(invalid('AWS', role));
    expect(await errorOf(grantTo({ AWS: 'someone' }))).toEqual(invalid('AWS', 'someone'));
    expect(await errorOf(grantTo({ Service: 's3' }))).toEqual(invalid('Service', 's3'));

    const client = clientOf(sandbox, ACCOUNT);
    const trust = policyOf({ Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' });
    await client.send(EAST, new CreateRoleCommand({ RoleName: 'reader', AssumeRolePolicyDocument: trust }));
    expect((await putPolicy(grantTo({ AWS: role }))).status).toBe(204);
    await client.send(EAST, new DeleteRoleCommand({ RoleName: 'reader' }));
    // S3 returns the id of the deleted role, and then rejects the policy that it returned itself.
    const stored = await getPolicy();
    const [id = ''] = /AROA[A-Z0-9]+/.exec(stored) ?? [];
    expect(await errorOf(stored)).toEqual(invalid('AWS', id));
  });
});

describe('PutBucketPolicy: accepts', () => {
  test.each<[what: string, statement: object]>([
    ['all actions on the bucket and its objects', { ...READ, Action: 's3:*', Resource: [ARN, ALL_OBJECTS] }],
    ['all actions on objects', { ...READ, Action: 's3:*' }],
    ['the action *', { ...READ, Action: '*', Resource: `${ARN}*` }],
    ['actions in another case', { ...READ, Action: 'S3:getobject' }],
    // The case of a key does not count, and S3 accepts every global key.
    [
      'global keys',
      {
        ...READ,
        Condition: { Bool: { 'AWS:SecureTransport': false }, StringEquals: { 'aws:Unknown': 'x' } },
      },
    ],
    [
      'keys of access points',
      { ...READ, Condition: { StringEquals: { 's3:DataAccessPointAccount': ACCOUNT } } },
    ],
    [
      'a key for all matching actions of a pattern',
      { ...READ, Action: 's3:*', Condition: { StringEquals: { 's3:x-amz-acl': 'private' } } },
    ],
    [
      'a key of its action',
      {
        ...READ,
        Action: ['s3:ListBucket', 's3:ListBucketVersions'],
        Resource: ARN,
        Condition: { StringLike: { 's3:prefix': 'a/*' } },
      },
    ],
    [
      'Deny with NotPrincipal',
      { ...READ, Effect: 'Deny', Principal: undefined, NotPrincipal: { AWS: OTHER_ROOT } },
    ],
    [
      'NotAction and NotResource',
      {
        ...READ,
        Effect: 'Deny',
        Action: undefined,
        NotAction: 's3:GetObject',
        Resource: undefined,
        NotResource: ALL_OBJECTS,
      },
    ],
    [
      'services of AWS',
      { ...READ, Principal: { Service: ['logging.s3.amazonaws.com', 's3.amazonaws.com'] } },
    ],
    [
      'IPv6 ranges',
      { ...READ, Condition: { IpAddress: { 'aws:SourceIp': ['2001:db8::/32', '192.0.2.0/24'] } } },
    ],
  ])('%s', async (_, statement) => {
    expect(await putPolicy(policyOf(statement))).toMatchObject({ status: 204, text: '' });
  });

  // hashicorp/terraform#9036 and aws/aws-cdk#9334: the account becomes the ARN of its root. The order of the elements and
  // the single values are those of the policy that LocalStack recorded, and of a public test suite that runs against S3.
  test('and returns it in the form in which S3 stores it', async () => {
    const statement = {
      Resource: [ARN],
      Condition: { Bool: { 'aws:SecureTransport': [true] }, NumericLessThan: { 's3:max-keys': [10, 20] } },
      Action: ['s3:ListBucket'],
      Principal: { AWS: [OTHER] },
      Effect: 'Allow',
      Sid: 'One',
    };
    await putPolicy(JSON.stringify({ Statement: statement, Id: 'policy', Version: '2012-10-17' }, null, 2));
    expect(await getPolicy()).toBe(
      `{"Version":"2012-10-17","Id":"policy","Statement":[{"Sid":"One","Effect":"Allow","Principal":{"AWS":"${OTHER_ROOT}"},"Action":"s3:ListBucket","Resource":"${ARN}","Condition":{"Bool":{"aws:SecureTransport":"true"},"NumericLessThan":{"s3:max-keys":["10","20"]}}}]}`,
    );
  });
});

// S3 User Guide, "Blocking public access to your Amazon S3 storage", "The meaning of public".
const PUBLIC_CASES: [condition: object | undefined, isPublic: boolean][] = [
  [undefined, true],
  [{ StringEquals: { 'aws:PrincipalOrgID': 'o-1' } }, false],
  [{ StringLike: { 'aws:PrincipalOrgID': 'o-*' } }, true],
  [{ StringEquals: { 'aws:SourceVpce': 'vpce-1' } }, false],
  [{ StringEqualsIfExists: { 'aws:SourceVpce': 'vpce-1' } }, true],
  [{ 'ForAllValues:StringEquals': { 'aws:SourceVpce': 'vpce-1' } }, true],
  [{ StringNotEquals: { 'aws:SourceVpce': 'vpce-1' } }, true],
  [{ StringEquals: { 'aws:SourceVpce': `\${aws:PrincipalTag/vpce}` } }, true],
  [{ StringLike: { 'aws:Referer': 'https://example.com/' } }, true],
  [{ IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, false],
  [{ IpAddress: { 'aws:SourceIp': '10.0.0.0/7' } }, true],
  [{ IpAddress: { 'aws:SourceIp': ['192.0.2.0/24', '0.0.0.0/0'] } }, true],
  [{ IpAddress: { 'aws:SourceIp': '2001:db8::/32' } }, false],
  [{ IpAddress: { 'aws:SourceIp': 'fd00::/8' } }, true],
  [{ 'ForAnyValue:IpAddress': { 'aws:SourceIp': '10.0.0.0/8' } }, false],
  [{ IpAddressIfExists: { 'aws:SourceIp': '10.0.0.0/8' } }, true],
  [{ ArnLike: { 's3:DataAccessPointArn': `arn:aws:s3:us-west-2:${ACCOUNT}:accesspoint/*` } }, false],
  [{ ArnLike: { 's3:DataAccessPointArn': 'arn:aws:s3:us-west-2:*:accesspoint/*' } }, true],
];

test.each(PUBLIC_CASES)('a policy for everyone under %j is public: %s', async (Condition, isPublic) => {
  const policy = policyOf({ ...READ, Principal: '*', ...(Condition && { Condition }) });
  expect((await putPolicy(policy)).status).toBe(isPublic ? 403 : 204);
  await setPublicAccess({ BlockPublicPolicy: false });
  expect((await putPolicy(policy)).status).toBe(204);
  const { text } = await send('GET', `/${BUCKET}?policyStatus`);
  expect(elementsOf(text, 'IsPublic')).toEqual([String(isPublic)]);
});

// The message is quoted in many public reports, for example of `terraform apply` for an aws_s3_bucket_policy.
test('BlockPublicPolicy: rejects a public policy with AccessDenied', async () => {
  expect(await errorOf(policyOf({ ...READ, Principal: { AWS: '*' } }))).toEqual({
    status: 403,
    code: 'AccessDenied',
    message: `User: arn:aws:iam::${ACCOUNT}:root is not authorized to perform: s3:PutBucketPolicy on resource: "${ARN}" because public policies are blocked by the BlockPublicPolicy block public access setting.`,
  });
  expect(elementsOf((await send('GET', `/${BUCKET}?policy`)).text, 'Code')).toEqual(['NoSuchBucketPolicy']);
  // A Deny for everyone makes nothing public.
  expect((await putPolicy(policyOf({ ...READ, Effect: 'Deny', Principal: '*' }))).status).toBe(204);
});

// S3 API Reference, PublicAccessBlockConfiguration, RestrictPublicBuckets.
test('RestrictPublicBuckets: a public policy grants nothing to other accounts', async () => {
  await setPublicAccess({ BlockPublicPolicy: false, RestrictPublicBuckets: false });
  await send('PUT', `/${BUCKET}/key`, { body: 'text' });
  await putPolicy(policyOf({ ...READ, Principal: '*' }, READ));
  const read = (account: string) => send('GET', `/${BUCKET}/key`, { account });
  expect((await read(OTHER)).status).toBe(200);
  await setPublicAccess({ RestrictPublicBuckets: true });
  expect([(await read(OTHER)).status, (await read(ACCOUNT)).status]).toEqual([403, 200]);
  await putPolicy(policyOf(READ));
  expect((await read(OTHER)).status).toBe(200);
});
