import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GetBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAwsClient } from '../../src/aws/client.ts';
import { createSdkClients } from '../../src/aws/sdk-clients.ts';
import type { Account } from '../../src/spec/types.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';

let folder: string;
let endpoint: string;
/** The query of each request to STS, with the Region that it was signed for. */
let stsRequests: { action: string | null; region: string | undefined }[];
let accessKeys: string[];
let close: () => void;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'replikey-credentials-'));
  stsRequests = [];
  accessKeys = [];
  let sessions = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const [, accessKey = '', region] =
        /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? '') ?? [];
      if (request.method === 'POST') {
        stsRequests.push({ action: new URLSearchParams(body).get('Action'), region });
        const key = `ASIASESSION${++sessions}`;
        response
          .writeHead(200, { 'content-type': 'text/xml' })
          .end(
            `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>${key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
          );
        return;
      }
      accessKeys.push(accessKey);
      response.writeHead(200).end('<VersioningConfiguration/>');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => {
    server.closeAllConnections();
    server.close();
  };
  vi.stubEnv('AWS_CONFIG_FILE', path.join(folder, 'config'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', path.join(folder, 'credentials'));
  vi.stubEnv('AWS_ENDPOINT_URL', endpoint);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  for (const name of ['AWS_PROFILE', 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'HOME'])
    vi.stubEnv(name, name === 'HOME' ? folder : undefined);
});

afterEach(async () => {
  close();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** Writes a program that counts its runs, and returns its command. */
async function countingProgram(body: string): Promise<{ command: string; runs(): Promise<number> }> {
  const [program, log] = [path.join(folder, 'program'), path.join(folder, 'runs')];
  await writeFile(program, `#!/bin/sh\necho run >> ${log}\n${body}\n`);
  await chmod(program, 0o755);
  return {
    command: `${program} --token argument-that-is-secret`,
    runs: async () => (await readFile(log, 'utf8').catch(() => '')).split('\n').length - 1,
  };
}

const printCredentials = (expiration: string) =>
  `echo '{"Version":1,"AccessKeyId":"AKIAPROCESS","SecretAccessKey":"${SECRET}","Expiration":"${expiration}"}'`;

const account = (name: string, fields: Partial<Account>): Account => ({
  name,
  id: '111122223333',
  managed: true,
  positions: {},
  ...fields,
});

/** Sends a read for each service Region and account, all at the same time. */
async function readEverywhere(
  accounts: readonly Account[],
  regions = ['us-east-1', 'eu-west-1', 'us-west-2'],
) {
  const clients = createSdkClients(accounts);
  const client = createAwsClient({ clients, accounts, region: 'us-east-1' });
  const reads = (accounts.length === 0 ? [undefined] : accounts).flatMap((owner) =>
    regions.map((region) => ({ ...(owner && { account: owner.name }), region })),
  );
  try {
    await Promise.all(
      reads.map((location) => client.send(location, new GetBucketVersioningCommand({ Bucket: 'acme-tax' }))),
    );
  } finally {
    clients.destroy();
  }
}

test('credentials: credential_process runs once for all clients of the accounts with its profile', async () => {
  const program = await countingProgram(printCredentials('2099-01-01T00:00:00Z'));
  await writeFile(path.join(folder, 'config'), `[profile prod]\ncredential_process = ${program.command}\n`);
  await readEverywhere([account('main', { profile: 'prod' }), account('other', { profile: 'prod' })]);
  expect(accessKeys).toEqual(Array(6).fill('AKIAPROCESS'));
  expect(await program.runs()).toBe(1);
});

test('credentials: credential_process runs once for the ambient credentials', async () => {
  const program = await countingProgram(printCredentials('2099-01-01T00:00:00Z'));
  await writeFile(path.join(folder, 'config'), `[default]\ncredential_process = ${program.command}\n`);
  await readEverywhere([]);
  expect(accessKeys).toEqual(Array(3).fill('AKIAPROCESS'));
  expect(await program.runs()).toBe(1);
});

test('credentials: load again when they expire, once for concurrent calls', async () => {
  const program = await countingProgram(printCredentials('2099-01-01T00:00:00Z'));
  await writeFile(path.join(folder, 'config'), `[profile prod]\ncredential_process = ${program.command}\n`);
  const clients = createSdkClients([account('main', { profile: 'prod' })]);
  const read = (region: string) =>
    clients
      .get('s3', { account: 'main', region })
      .send(new GetBucketVersioningCommand({ Bucket: 'acme-tax' }));
  try {
    await Promise.all(['us-east-1', 'eu-west-1'].map(read));
    vi.useFakeTimers({ toFake: ['Date'], now: new Date('2098-12-31T23:56:00Z') });
    await Promise.all(['us-east-1', 'eu-west-1', 'us-west-2'].map(read));
    expect(await program.runs()).toBe(2);
  } finally {
    vi.useRealTimers();
    clients.destroy();
  }
});

test('credentials: a role is assumed once, in the Region of the environment or of the profile', async () => {
  const keys = 'aws_access_key_id = AKIABASE\naws_secret_access_key = s\n';
  await writeFile(path.join(folder, 'config'), `[profile ops]\nregion = eu-central-1\n${keys}`);
  const assumeRole = { arn: 'arn:aws:iam::111122223333:role/deploy' };
  vi.stubEnv('AWS_PROFILE', 'ops');
  await readEverywhere([account('main', { assumeRole })]);
  expect(stsRequests).toEqual([{ action: 'AssumeRole', region: 'eu-central-1' }]);
  expect(accessKeys).toEqual(Array(3).fill('ASIASESSION1'));

  vi.stubEnv('AWS_REGION', 'ap-south-1');
  await readEverywhere([account('main', { assumeRole })]);
  expect(stsRequests[1]).toEqual({ action: 'AssumeRole', region: 'ap-south-1' });

  await writeFile(
    path.join(folder, 'config'),
    `[profile ops]\n${keys}[profile deploy]\nrole_arn = ${assumeRole.arn}\nsource_profile = ops\n`,
  );
  await readEverywhere([account('main', { profile: 'deploy' })]);
  expect(stsRequests.slice(2)).toEqual([{ action: 'AssumeRole', region: 'ap-south-1' }]);
});

describe('credentials: a failure names source, cause and what to do', () => {
  const CONFIG = `
[profile chain]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = sso
[profile broken]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = nope
[profile loop]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = pool
[profile pool]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = loop
[profile sso]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Admin
[sso-session corp]
sso_region = us-east-1
sso_start_url = https://corp.awsapps.com/start
[profile legacy]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
sso_account_id = 111122223333
sso_role_name = Admin
[profile half]
sso_account_id = 111122223333
[profile mfa]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = keys
mfa_serial = arn:aws:iam::111122223333:mfa/jane
[profile keys]
aws_access_key_id = AKIABASE
aws_secret_access_key = s
[profile empty]
region = us-east-1
`;

  const failureOf = async (profile: string): Promise<string> => {
    const error = await readEverywhere([account('main', { profile })]).catch((failure: Error) => failure);
    expect(error).toMatchObject({ name: 'UserError', exitCode: 4 });
    const message = (error as Error).message;
    vi.stubEnv('AWS_PROFILE', profile);
    const ambient = await readEverywhere([]).catch((failure: Error) => failure);
    // The SDK goes on after the error of a profile, and reports the error of the last source.
    if (profile !== 'empty')
      expect((ambient as Error).message).toContain(message.slice(message.indexOf('": ') + 3).slice(0, 40));
    return message;
  };

  test.each([
    ['sso', /token.* was not found or is invalid; run aws sso login --profile sso$/],
    ['chain', /^cannot load the credentials of profile "chain": .*; run aws sso login --profile sso$/],
    ['legacy', /SSO session .* is invalid; run aws sso login --profile legacy$/],
    ['half', /invalid SSO credentials.*; run aws configure sso --profile half$/],
    ['broken', /: profile "nope" is not defined \(source_profile of profile "broken"\); define it in /],
    ['loop', /cycle.*; correct source_profile in these profiles$/],
    ['mfa', /multi-factor.*; replikey cannot ask for a code: run eval/],
    ['empty', /^cannot load the credentials of profile "empty": .*; run aws configure --profile empty$/],
    ['nope', /: profile "nope" is not defined; define it in .*config or .*credentials, or correct its name$/],
  ])('profile %s', async (profile, message) => {
    await writeFile(path.join(folder, 'config'), CONFIG);
    expect(await failureOf(profile)).toMatch(message);
  });

  test('credential_process that prints secrets: shows its error output without them', async () => {
    const program = await countingProgram(
      `echo 'vault: permission denied for jane {"SecretAccessKey": "short-secret"} ${SECRET}' >&2\nexit 3`,
    );
    await writeFile(path.join(folder, 'config'), `[profile prod]\ncredential_process = ${program.command}\n`);
    expect(await failureOf('prod')).toBe(
      'cannot load the credentials of profile "prod": credential_process failed: vault: permission denied for jane {"SecretAccessKey": "***"} ***; run the command of credential_process in profile "prod": it must print credentials as JSON with "Version": 1',
    );
    // Once for the account, and once for the ambient credentials.
    expect(await program.runs()).toBe(2);
  });
});
