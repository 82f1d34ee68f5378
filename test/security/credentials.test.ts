import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CliResult, runCli } from '../support/cli.ts';
import { fetchText, startController, untilReady } from '../support/controller-process.ts';
import { TAX_SPEC, type TestEnv, testEnv } from '../support/env.ts';
import { assertNoSecrets, TEST_SECRET } from '../support/secrets.ts';

/** Different secrets by source, so that a leak shows its source. */
const SECRETS = {
  secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: 'IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEaCXVzLWVhc3QtMSJ',
  profileKey: 'profileK7MDENGbPxRfiCYsecretaccesskey0001',
  processKey: 'processK7MDENGbPxRfiCYsecretaccesskey0002',
  webIdentity: 'eyJhbGciOiJub25lIn0.d2ViLWlkZW50aXR5.c2VjcmV0',
  container: 'container-authorization-token-that-is-secret',
  containerKey: 'containerK7MDENGbPxRfiCYsecretaccesskey03',
  externalId: 'external-id-that-only-two-parties-know',
  password: 'hunter2-of-a-proxy-or-an-endpoint',
};

let folder: string;
let testEnvironment: TestEnv;
let container: { url: string; close(): void };
/** All outputs, by the command or file that they come from. */
const outputs: [source: string, text: string][] = [];

const file = (name: string) => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-credentials-'));
  testEnvironment = await testEnv();
  await writeFile(file('spec.yaml'), TAX_SPEC);
  const role = `arn:aws:iam::111122223333:role/deploy`;
  const account = `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: main }
spec: { id: "111122223333", assumeRole: { arn: ${role}, externalId: ${SECRETS.externalId} } }
---
`;
  const inAccount = TAX_SPEC.replaceAll('{ bucket:', '{ account: main, bucket:');
  await writeFile(file('assumed.yaml'), account + inAccount);
  await writeFile(file('wrong.yaml'), `${account}${inAccount}  typo: 1\n`);
  await writeFile(
    file('credentials'),
    `[work]
aws_access_key_id = 111122223333
aws_secret_access_key = ${SECRETS.profileKey}
aws_session_token = ${SECRETS.sessionToken}
`,
  );
  const processOutput = JSON.stringify({
    Version: 1,
    AccessKeyId: '111122223333',
    SecretAccessKey: SECRETS.processKey,
  });
  await writeFile(file('process-output.json'), processOutput);
  await writeFile(file('invalid-output.json'), `${processOutput},,`);
  await writeFile(
    file('config'),
    `[profile process]
credential_process = cat ${file('process-output.json')}
[profile invalid]
credential_process = cat ${file('invalid-output.json')}
[profile assuming]
role_arn = ${role}
source_profile = work
external_id = ${SECRETS.externalId}
`,
  );
  await writeFile(file('token'), SECRETS.webIdentity);
  const server = createServer((request, response) => {
    const body = {
      AccessKeyId: '111122223333',
      SecretAccessKey: SECRETS.containerKey,
      Token: SECRETS.sessionToken,
    };
    const isAuthorized = request.headers.authorization === SECRETS.container;
    response.writeHead(isAuthorized ? 200 : 403, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...body, Expiration: '2099-01-01T00:00:00Z' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  container = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => server.close(),
  };
});
afterAll(async () => {
  container.close();
  await testEnvironment[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Credentials in the environment of a user's shell. */
const KEYS = {
  AWS_ACCESS_KEY_ID: '111122223333',
  AWS_SECRET_ACCESS_KEY: SECRETS.secretKey,
  AWS_SESSION_TOKEN: SECRETS.sessionToken,
};
const proxy = `http://me:${SECRETS.password}@127.0.0.1:9`;
const PROXIES = {
  HTTPS_PROXY: proxy,
  HTTP_PROXY: proxy,
  https_proxy: proxy,
  http_proxy: proxy,
  NO_PROXY: '127.0.0.1',
};

async function run(args: string[], env: Record<string, string> = KEYS, input = ''): Promise<CliResult> {
  const endpoint = { AWS_ENDPOINT_URL: testEnvironment.sandbox.endpoint, AWS_REGION: 'us-east-1' };
  const result = await runCli(
    [...args, ...(args[0] === 'validate' ? [] : ['--log-level', 'debug', '--debug'])],
    {
      cwd: folder,
      input,
      env: { ...endpoint, ...PROXIES, ...env },
    },
  );
  outputs.push([`${args.join(' ')} with ${Object.keys(env)}`, result.stdout + result.stderr]);
  return result;
}

const profiles = () => ({
  AWS_CONFIG_FILE: file('config'),
  AWS_SHARED_CREDENTIALS_FILE: file('credentials'),
});

describe('secrets: no output contains one', () => {
  test('of any command in any output format', async () => {
    const sequential: [args: string[], code: number][] = [
      [['plan', 'spec.yaml', '--out', 'plan.json'], 0],
      [['--dry-run', 'spec.yaml', '-o', 'json', '--explain'], 0],
      [['observe', 'spec.yaml', '--out', 'observed.json'], 0],
      [['apply', 'plan.json'], 0],
      [['--once', 'spec.yaml', '-o', 'ndjson'], 0],
      [['--once', 'spec.yaml', '--sandbox=own'], 0],
    ];
    for (const [args, code] of sequential) expect(await run(args), args.join(' ')).toMatchObject({ code });
    const concurrent = [
      ['doctor', 'spec.yaml', '-v'],
      ['verify', 'spec.yaml', '-o', 'json'],
      ['import', '--all', '--region', 'us-east-1'],
      ['plan', 'spec.yaml', '--observed', 'observed.json'],
    ];
    for (const { code } of await Promise.all(concurrent.map((args) => run(args)))) expect(code).toBe(0);
  });

  test('for any source of credentials', async () => {
    const files = profiles();
    const sources: Record<string, string>[] = [
      { ...files, AWS_PROFILE: 'work' },
      { ...files, AWS_PROFILE: 'process' },
      {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN: SECRETS.container,
      },
    ];
    const results = await Promise.all(sources.map((env) => run(['plan', 'spec.yaml'], env)));
    expect(results.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      sources.map(() => ({ code: 0, stderr: expect.any(String) })),
    );
    expect(await run(['validate', 'assumed.yaml'], files)).toMatchObject({ code: 0 });
    expect(await run(['validate', 'wrong.yaml', '-o', 'json'], files)).toMatchObject({ code: 65 });
  });

  test('for credentials that do not work', async () => {
    const files = profiles();
    const role = { AWS_ROLE_ARN: 'arn:aws:iam::111122223333:role/deploy' };
    const failing: [args: string[], env: Record<string, string>][] = [
      [['plan', 'spec.yaml'], { ...files, AWS_PROFILE: 'invalid' }],
      [['plan', 'spec.yaml'], { ...files, AWS_PROFILE: 'assuming' }],
      [['plan', 'assumed.yaml'], { ...files, AWS_PROFILE: 'work' }],
      [['plan', 'spec.yaml'], { ...role, AWS_WEB_IDENTITY_TOKEN_FILE: file('token') }],
      [['plan', 'spec.yaml'], { ...role, AWS_WEB_IDENTITY_TOKEN_FILE: file('no-token') }],
      [
        ['plan', 'spec.yaml'],
        {
          AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url,
          AWS_CONTAINER_AUTHORIZATION_TOKEN: `${SECRETS.container}x`,
        },
      ],
      [['plan', 'spec.yaml'], {}],
      [['plan', 'spec.yaml'], { ...KEYS, NO_PROXY: '' }],
      [
        ['plan', 'spec.yaml'],
        { ...KEYS, NO_PROXY: '', HTTP_PROXY: `socks5://me:${SECRETS.password}@127.0.0.1:9` },
      ],
    ];
    const results = await Promise.all(failing.map(([args, env]) => run(args, env)));
    // These fail, but not because of the arguments.
    for (const { code } of results) expect(code).toBeOneOf([1, 4]);
  });

  test('for an endpoint that is invalid or contains a password', async () => {
    const { host } = new URL(testEnvironment.sandbox.endpoint);
    const withPassword = (rest: string) => ({
      ...KEYS,
      AWS_ENDPOINT_URL: `http://me:${SECRETS.password}@${rest}`,
    });
    const [good, bad] = await Promise.all([
      run(['plan', 'spec.yaml'], withPassword(host)),
      run(['plan', 'spec.yaml'], withPassword('127.0.0.1:none')),
      run(['spec.yaml', '--listen', '0'], withPassword('127.0.0.1:none')),
    ]);
    expect(good?.stdout).toContain(`AWS at http://${host},`);
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining('invalid AWS_ENDPOINT_URL') });
  });

  // For a wrong signature, IAM, STS and KMS return the canonical request with its headers.
  test.each([
    ['iam:GetRole', 'SignatureDoesNotMatch'],
    ['kms', 'InvalidSignatureException'],
    ['GetBucketVersioning', 'AccessDenied'],
    ['GetBucketVersioning', 'SlowDown'],
  ])('for an error of %s (%s) that repeats the request', async (match, code) => {
    const message = `The request signature we calculated does not match the signature you provided.

The Canonical String for this request should have been
'POST
/

x-amz-security-token:${SECRETS.sessionToken}

host;x-amz-security-token'`;
    testEnvironment.sandbox.faultSettings.faults = [
      { match, nth: 1, times: 4, what: { status: 403, code, message } },
    ];
    await Promise.all([
      run(['plan', 'spec.yaml', '-o', 'json']),
      run(['observe', 'spec.yaml', '--out', `observed-${code}.json`]),
    ]);
    testEnvironment.sandbox.faultSettings.faults = [];
  });

  test('of the controller: pages, metrics and log', async () => {
    const env = {
      AWS_ENDPOINT_URL: testEnvironment.sandbox.endpoint,
      AWS_REGION: 'us-east-1',
      ...PROXIES,
      ...KEYS,
    };
    await mkdir(file('specs'));
    await writeFile(file('specs/spec.yaml'), TAX_SPEC);
    const controller = await startController(
      [file('specs'), '--log-level', 'debug', '--verify-interval', '1'],
      {
        env,
      },
    );
    await untilReady(controller);
    for (const at of ['/', '/status', '/metrics', '/healthz', '/readyz', '/version', '/nothing'])
      outputs.push([`the controller at ${at}`, (await fetchText(controller, at)).text]);
    controller.child.kill('SIGTERM');
    const { code, stdout, stderr } = await controller.exited;
    expect(code).toBe(0);
    outputs.push(['the controller', stdout + stderr]);
  });

  test('in any created file: plans, snapshots, the state of a sandbox', async () => {
    const inputFiles = [
      'credentials',
      'config',
      'token',
      'process-output.json',
      'invalid-output.json',
      'assumed.yaml',
      'wrong.yaml',
    ];
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const createdFiles = entries
      .filter((entry) => entry.isFile() && !inputFiles.includes(entry.name))
      .map((entry) => path.join(entry.parentPath, entry.name));
    expect(createdFiles.map((created) => path.relative(folder, created))).toEqual(
      expect.arrayContaining(['plan.json', 'observed.json', 'own/journal.jsonl']),
    );
    for (const created of createdFiles) outputs.push([created, await readFile(created, 'latin1')]);
    outputs.push(['the log of the sandbox', JSON.stringify(testEnvironment.sandbox.log.entries)]);
    expect(outputs.length).toBeGreaterThan(35);
    // An error may show a truncated text, so a prefix of the secret counts.
    for (const [source, text] of outputs)
      for (const [name, secret] of Object.entries(SECRETS))
        expect(text.includes(secret.slice(0, 24)), `${name} in ${source}`).toBe(false);
  });
});

test('assertNoSecrets: runCli rejects an output with a secret', async () => {
  expect(() => assertNoSecrets(`a ${TEST_SECRET} b`)).toThrow('a secret is shown: …a <secret>…');
  const env = { AWS_SESSION_TOKEN: 'us-east-1-of-a-token' };
  const yaml = TAX_SPEC.replace('prefix: Tax/', `prefix: ${env.AWS_SESSION_TOKEN}`);
  await expect(
    runCli(['validate', '-'], { input: yaml.replace('kind: Bucket', 'kind: Buckets'), env }),
  ).resolves.toBeDefined();
  await expect(runCli(['explain', env.AWS_SESSION_TOKEN], { env })).rejects.toThrow('a secret is shown');
});
