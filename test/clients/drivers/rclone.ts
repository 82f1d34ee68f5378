import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isInstalled } from '../../support/cli.ts';
import { ACCOUNT, type Client, type ListedVersion, SECRET, type Settings } from '../client.ts';
import { runCommand } from './command.ts';

/** rclone. Environment variables configure the backend. */
export const rclone: Client = {
  name: 'rclone',
  package: 'rclone 1.60 (Debian)',
  configured:
    '`chunk_size`, `upload_cutoff` and `copy_cutoff` 5 MiB; `provider` Other for path style, AWS for virtual-hosted style',
  missing: () => (isInstalled('rclone') ? undefined : 'rclone is not installed'),
  without: {
    regionOf: 'does not look for the Region when an endpoint is configured',
    presignPut: '`rclone link` signs GET only',
  },
  hidesDeleteMarkers: true,
  async start(folder) {
    const run = ({ endpoint, region, proxy }: Settings, ...args: string[]) =>
      runCommand('rclone', args, {
        folder,
        env: {
          RCLONE_CONFIG: '/dev/null',
          RCLONE_CONFIG_S3_TYPE: 's3',
          // rclone always uses the virtual-hosted style for AWS, and never for `Other`.
          RCLONE_CONFIG_S3_PROVIDER: proxy === undefined ? 'Other' : 'AWS',
          RCLONE_CONFIG_S3_ENDPOINT: endpoint,
          RCLONE_CONFIG_S3_REGION: region,
          RCLONE_CONFIG_S3_LOCATION_CONSTRAINT: region === 'us-east-1' ? '' : region,
          RCLONE_CONFIG_S3_ACCESS_KEY_ID: ACCOUNT,
          RCLONE_CONFIG_S3_SECRET_ACCESS_KEY: SECRET,
          RCLONE_CONFIG_S3_CHUNK_SIZE: '5Mi',
          RCLONE_CONFIG_S3_UPLOAD_CUTOFF: '5Mi',
          RCLONE_CONFIG_S3_COPY_CUTOFF: '5Mi',
          ...(proxy === undefined ? {} : { HTTP_PROXY: proxy }),
        },
      });
    const copyto = async (settings: Settings, ...args: string[]): Promise<undefined> => {
      await run(settings, 'copyto', ...args);
    };
    const listNames = async (settings: Settings, ...args: string[]): Promise<string[]> =>
      (await run(settings, 'lsf', '--recursive', '--files-only', ...args)).toString().trimEnd().split('\n');
    return {
      operations: {
        async createBucket(settings, { bucket }) {
          await run(settings, 'mkdir', `s3:${bucket}`);
        },
        put: (settings, { bucket, key, file }) => copyto(settings, file, `s3:${bucket}/${key}`),
        get: (settings, { bucket, key, file }) => copyto(settings, `s3:${bucket}/${key}`, file),
        async getRange(settings, { bucket, key, file, start, end }) {
          const range = ['--offset', String(start), '--count', String(end - start)];
          await writeFile(file, await run(settings, 'cat', ...range, `s3:${bucket}/${key}`));
        },
        putMultipart: (settings, { bucket, key, file, keyId }) =>
          copyto(
            settings,
            ...['--s3-server-side-encryption', 'aws:kms', '--s3-sse-kms-key-id', keyId],
            ...[file, `s3:${bucket}/${key}`],
          ),
        copy: (settings, { bucket, key, toBucket, toKey }) =>
          copyto(settings, `s3:${bucket}/${key}`, `s3:${toBucket}/${toKey}`),
        async list(settings, { bucket, prefix }) {
          return (await listNames(settings, `s3:${bucket}/${prefix}`)).map((name) => `${prefix}${name}`);
        },
        async listVersions(settings, { bucket, prefix }) {
          const names = await listNames(settings, '--s3-versions', `s3:${bucket}/${prefix}`);
          return names.map((name) => toListedVersion(`${prefix}${name}`));
        },
        async delete(settings, { bucket, key }) {
          await run(settings, 'deletefile', `s3:${bucket}/${key}`);
        },
        async deleteVersion(settings, { bucket, key, lastModified }) {
          const name = toVersionName(path.basename(key), lastModified);
          const parent = `s3:${bucket}/${path.dirname(key)}`;
          await run(settings, 'delete', '--s3-versions', '--include', `/${name}`, parent);
        },
        presignGet: async (settings, { bucket, key }) =>
          (await run(settings, 'link', '--expire', '1h', `s3:${bucket}/${key}`)).toString().trim(),
      },
      async [Symbol.asyncDispose]() {},
    };
  },
};

/** Version in the name of a file, which is its time: `invoice-v2026-11-30-171218-000.pdf`. The current one has none. */
const VERSION_IN_NAME = /-v(\d{4})-(\d\d)-(\d\d)-(\d\d)(\d\d)(\d\d)-(\d{3})(\.[^.]*)?$/;

function toListedVersion(name: string): ListedVersion {
  const match = VERSION_IN_NAME.exec(name);
  if (!match) return { key: name, isDeleteMarker: false };
  const [version, year, month, day, hour, minute, second, ms, extension = ''] = match;
  return {
    key: name.slice(0, -version.length) + extension,
    isDeleteMarker: false,
    lastModified: `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`,
  };
}

function toVersionName(name: string, lastModified: string): string {
  const { name: base, ext } = path.parse(name);
  const [date = '', time = ''] = lastModified.replace('Z', '').split('T');
  return `${base}-v${date}-${time.replaceAll(':', '').replace('.', '-')}${ext}`;
}
