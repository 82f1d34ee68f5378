import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pythonEnvironment } from '../../support/python.ts';
import { ACCOUNT, type Client, type Driver, type ListedVersion, SECRET, type Settings } from '../client.ts';
import { pinnedVersion } from '../versions.ts';
import { runCommand } from './command.ts';

/** Version 1 of the AWS CLI, which shares botocore with boto3. */
export const awscli1: Client = {
  name: 'AWS CLI 1',
  package: `awscli ${pinnedVersion('awscli')} (PyPI)`,
  missing: () => pythonEnvironment('awscli').missing,
  ...awscliDriver(() => [pythonEnvironment('awscli').program('python'), '-m', 'awscli']),
};

/** Version 2 of the AWS CLI. It contains its own botocore; Debian's is older than the default checksums of 2025. */
export const awscli2: Client = {
  name: 'AWS CLI 2',
  package: 'awscli 2.9 (Debian)',
  missing: () => (findAwscli2() === undefined ? 'version 2 of the AWS CLI is not installed' : undefined),
  ...awscliDriver(() => [findAwscli2() ?? 'aws']),
};

/** Returns the path of the first `aws` on the PATH that is version 2. */
function findAwscli2(): string | undefined {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  return folders
    .map((folder) => path.join(folder, 'aws'))
    .find((file) => existsSync(file) && /^aws-cli\/2\./.test(String(spawnSync(file, ['--version']).stdout)));
}

/** Returns the driver: `aws s3` for objects, `aws s3api` where `aws s3` has no command. */
function awscliDriver(command: () => string[]): Pick<Client, 'configured' | 'without' | 'start'> {
  return {
    configured:
      '`multipart_threshold` and `multipart_chunksize` 5 MB; `addressing_style = virtual` for virtual-hosted style',
    without: { presignPut: '`aws s3 presign` signs GET only' },
    start: (folder) => startAwscli(folder, command()),
  };
}

async function startAwscli(folder: string, [program = '', ...programArgs]: string[]): Promise<Driver> {
  const config = path.join(folder, 'config');
  const lines = ['s3 =', '  multipart_threshold = 5MB', '  multipart_chunksize = 5MB'];
  await writeFile(
    config,
    ['[default]', ...lines, '[profile virtual]', ...lines, '  addressing_style = virtual', ''].join('\n'),
  );
  const aws = async ({ endpoint, region, proxy }: Settings, ...args: string[]) =>
    String(
      await runCommand(program, [...programArgs, ...args, '--endpoint-url', endpoint], {
        folder,
        env: {
          AWS_CONFIG_FILE: config,
          AWS_ACCESS_KEY_ID: ACCOUNT,
          AWS_SECRET_ACCESS_KEY: SECRET,
          AWS_DEFAULT_REGION: region,
          ...(proxy === undefined ? {} : { AWS_PROFILE: 'virtual', HTTP_PROXY: proxy }),
        },
      }),
    );
  const s3api = (settings: Settings, operation: string, ...args: string[]) =>
    aws(settings, 's3api', operation, '--output', 'json', ...args).then((text) => text || '{}');
  const cp = async (settings: Settings, ...args: string[]): Promise<undefined> => {
    await aws(settings, 's3', 'cp', '--only-show-errors', ...args);
  };
  return {
    operations: {
      async createBucket(settings, { bucket }) {
        await aws(settings, 's3', 'mb', `s3://${bucket}`);
      },
      async regionOf(settings, { bucket }) {
        const location = JSON.parse(await s3api(settings, 'get-bucket-location', '--bucket', bucket));
        const region = location.LocationConstraint ?? 'us-east-1';
        // Older versions print no Region; they fail if the redirect to it does.
        const head = JSON.parse(await s3api(settings, 'head-bucket', '--bucket', bucket)).BucketRegion;
        if (head !== undefined && head !== region)
          throw new Error(`GetBucketLocation returned ${region}, HeadBucket ${head}`);
        return region;
      },
      put: (settings, { bucket, key, file }) => cp(settings, file, `s3://${bucket}/${key}`),
      get: (settings, { bucket, key, file }) => cp(settings, `s3://${bucket}/${key}`, file),
      async getRange(settings, { bucket, key, file, start, end }) {
        const object = ['--bucket', bucket, '--key', key];
        await s3api(settings, 'get-object', ...object, '--range', `bytes=${start}-${end - 1}`, file);
      },
      putMultipart: (settings, { bucket, key, file, keyId }) =>
        cp(settings, file, `s3://${bucket}/${key}`, '--sse', 'aws:kms', '--sse-kms-key-id', keyId),
      copy: (settings, { bucket, key, toBucket, toKey }) =>
        cp(settings, `s3://${bucket}/${key}`, `s3://${toBucket}/${toKey}`),
      async list(settings, { bucket, prefix }) {
        const text = await s3api(settings, 'list-objects-v2', '--bucket', bucket, '--prefix', prefix);
        return JSON.parse(text).Contents.map(({ Key }: { Key: string }) => Key);
      },
      async listVersions(settings, { bucket, prefix }) {
        const text = await s3api(settings, 'list-object-versions', '--bucket', bucket, '--prefix', prefix);
        const { Versions = [], DeleteMarkers = [] } = JSON.parse(text) as Record<string, Entry[]>;
        return [
          ...Versions.map((entry) => toListedVersion(entry, false)),
          ...DeleteMarkers.map((entry) => toListedVersion(entry, true)),
        ];
      },
      async delete(settings, { bucket, key }) {
        await aws(settings, 's3', 'rm', `s3://${bucket}/${key}`);
      },
      async deleteVersion(settings, { bucket, key, versionId }) {
        // A version id can begin with a hyphen.
        const object = ['--bucket', bucket, '--key', key, `--version-id=${versionId}`];
        await s3api(settings, 'delete-object', ...object);
      },
      async presignGet(settings, { bucket, key }) {
        return (await aws(settings, 's3', 'presign', `s3://${bucket}/${key}`)).trim();
      },
    },
    async [Symbol.asyncDispose]() {},
  };
}

interface Entry {
  Key: string;
  VersionId: string;
  IsLatest: boolean;
}

const toListedVersion = ({ Key, VersionId, IsLatest }: Entry, isDeleteMarker: boolean): ListedVersion => ({
  key: Key,
  versionId: VersionId,
  isLatest: IsLatest,
  isDeleteMarker,
});
