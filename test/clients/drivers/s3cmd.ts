import { readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isInstalled } from '../../support/cli.ts';
import { ACCOUNT, type Client, SECRET, type Settings } from '../client.ts';
import { runCommand } from './command.ts';

/** s3cmd. */
export const s3cmd: Client = {
  name: 's3cmd',
  package: 's3cmd 2.3 (Debian)',
  configured:
    '`multipart_chunk_size_mb` 5; `host_bucket` without or with `%(bucket)s`; `--acl-private` for copies, because new buckets have no ACLs',
  missing: () => (isInstalled('s3cmd') ? undefined : 's3cmd is not installed'),
  signsUrlsWithVersion2: true,
  without: {
    regionOf: 'follows the redirect of S3 to the host name of AWS',
    listVersions: 'has no command for versions',
    deleteVersion: 'has no command for versions',
    presignPut: '`s3cmd signurl` signs GET only',
  },
  async start(folder) {
    const config = path.join(folder, 's3cfg');
    const run = async ({ endpoint, region, proxy }: Settings, ...args: string[]): Promise<string> => {
      const { host } = new URL(endpoint);
      const options = {
        access_key: ACCOUNT,
        secret_key: SECRET,
        host_base: host,
        host_bucket: proxy === undefined ? host : `%(bucket)s.${host}`,
        bucket_location: region,
        use_https: 'False',
        multipart_chunk_size_mb: '5',
        ...(proxy === undefined
          ? {}
          : { proxy_host: new URL(proxy).hostname, proxy_port: new URL(proxy).port }),
      };
      const lines = Object.entries(options).map(([name, value]) => `${name} = ${value}`);
      await writeFile(config, ['[default]', ...lines, ''].join('\n'));
      return String(await runCommand('s3cmd', ['--config', config, '--no-progress', ...args], { folder }));
    };
    const runQuietly = async (settings: Settings, ...args: string[]): Promise<undefined> => {
      await run(settings, ...args);
    };
    const uri = ({ bucket, key }: { bucket: string; key: string }) => `s3://${bucket}/${key}`;
    return {
      operations: {
        createBucket: (settings, { bucket }) => runQuietly(settings, 'mb', `s3://${bucket}`),
        put: (settings, object) => runQuietly(settings, 'put', object.file, uri(object)),
        get: (settings, object) => runQuietly(settings, 'get', '--force', uri(object), object.file),
        async getRange(settings, object) {
          // Interrupts a download after `start` bytes, and resumes it: s3cmd reads the rest of the object.
          await run(settings, 'get', '--force', uri(object), object.file);
          await truncate(object.file, object.start);
          await run(settings, 'get', '--continue', uri(object), object.file);
          await writeFile(object.file, (await readFile(object.file)).subarray(object.start));
        },
        putMultipart: (settings, object) =>
          runQuietly(
            settings,
            ...['put', '--server-side-encryption', '--server-side-encryption-kms-id', object.keyId],
            ...[object.file, uri(object)],
          ),
        copy: (settings, { bucket, key, toBucket, toKey }) =>
          // Without --acl-private, s3cmd copies the ACL as well, and fails in a bucket without ACLs, as new ones are: PutObjectAcl
          // returns AccessControlListNotSupported (S3 API Reference, "PutObjectAcl").
          runQuietly(
            settings,
            ...['cp', '--acl-private', uri({ bucket, key }), uri({ bucket: toBucket, key: toKey })],
          ),
        async list(settings, { bucket, prefix }) {
          const text = await run(settings, 'ls', '--recursive', `s3://${bucket}/${prefix}`);
          return [...text.matchAll(new RegExp(`s3://${bucket}/(.*)$`, 'gm'))].map(([, key = '']) => key);
        },
        presignGet: async (settings, object) => (await run(settings, 'signurl', uri(object), '+3600')).trim(),
        delete: (settings, object) => runQuietly(settings, 'del', uri(object)),
      },
      async [Symbol.asyncDispose]() {},
    };
  },
};
