import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { HttpProxyAgent } from 'http-proxy-agent';
import { ACCOUNT, type Client, type ListedVersion, PART_BYTES, SECRET, type Settings } from '../client.ts';
import { npmVersion } from '../versions.ts';

/** AWS SDK for JavaScript, with `lib-storage` for uploads. It shares its schemas with the sandbox. */
export const javascript: Client = {
  name: 'AWS SDK for JavaScript',
  package: `@aws-sdk/client-s3 ${npmVersion('@aws-sdk/client-s3')}, @aws-sdk/lib-storage ${npmVersion('@aws-sdk/lib-storage')}`,
  configured: '`Upload` with parts of 5 MiB; `followRegionRedirects`',
  without: {},
  missing: () => undefined,
  async start() {
    const clients = new Map<string, S3Client>();
    const connect = (settings: Settings): S3Client => {
      const name = JSON.stringify(settings);
      const client = clients.get(name) ?? createClient(settings);
      clients.set(name, client);
      return client;
    };
    return {
      operations: {
        async createBucket(settings, { bucket: Bucket }) {
          await connect(settings).send(new CreateBucketCommand({ Bucket }));
        },
        async regionOf(settings, { bucket: Bucket }) {
          const s3 = connect(settings);
          const { LocationConstraint } = await s3.send(new GetBucketLocationCommand({ Bucket }));
          const region = LocationConstraint ?? 'us-east-1';
          const { BucketRegion } = await s3.send(new HeadBucketCommand({ Bucket }));
          if (BucketRegion !== region)
            throw new Error(`GetBucketLocation returned ${region}, HeadBucket ${BucketRegion}`);
          return region;
        },
        async put(settings, { bucket: Bucket, key: Key, file }) {
          await connect(settings).send(new PutObjectCommand({ Bucket, Key, Body: await readFile(file) }));
        },
        get: (settings, { bucket: Bucket, key: Key, file }) => save(connect(settings), { Bucket, Key }, file),
        getRange: (settings, { bucket: Bucket, key: Key, file, start, end }) =>
          save(connect(settings), { Bucket, Key, Range: `bytes=${start}-${end - 1}` }, file),
        async putMultipart(settings, { bucket: Bucket, key: Key, file, keyId }) {
          await new Upload({
            client: connect(settings),
            partSize: PART_BYTES,
            params: {
              Bucket,
              Key,
              Body: createReadStream(file),
              ServerSideEncryption: 'aws:kms',
              SSEKMSKeyId: keyId,
            },
          }).done();
        },
        async copy(settings, { bucket, key, toBucket: Bucket, toKey: Key }) {
          const CopySource = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
          await connect(settings).send(new CopyObjectCommand({ Bucket, Key, CopySource }));
        },
        async list(settings, { bucket: Bucket, prefix: Prefix }) {
          const keys: string[] = [];
          for await (const page of paginateListObjectsV2({ client: connect(settings) }, { Bucket, Prefix }))
            keys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key));
          return keys;
        },
        listVersions: (settings, { bucket, prefix }) => listVersions(connect(settings), bucket, prefix),
        async delete(settings, { bucket: Bucket, key: Key }) {
          await connect(settings).send(new DeleteObjectCommand({ Bucket, Key }));
        },
        async deleteVersion(settings, { bucket: Bucket, key: Key, versionId: VersionId }) {
          await connect(settings).send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
        },
        presignGet: (settings, { bucket: Bucket, key: Key }) =>
          getSignedUrl(connect(settings), new GetObjectCommand({ Bucket, Key })),
        presignPut: (settings, { bucket: Bucket, key: Key }) =>
          getSignedUrl(connect(settings), new PutObjectCommand({ Bucket, Key })),
      },
      async [Symbol.asyncDispose]() {
        for (const client of clients.values()) client.destroy();
      },
    };
  },
};

const createClient = ({ endpoint, region, proxy }: Settings): S3Client =>
  new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId: ACCOUNT, secretAccessKey: SECRET },
    followRegionRedirects: true,
    // By default, the SDK uses the path style for IP addresses and the virtual-hosted style for names.
    ...(proxy === undefined ? {} : { requestHandler: { httpAgent: new HttpProxyAgent(proxy) } }),
  });

async function save(
  s3: S3Client,
  input: { Bucket: string; Key: string; Range?: string },
  file: string,
): Promise<undefined> {
  const { Body } = await s3.send(new GetObjectCommand(input));
  await writeFile(file, (await Body?.transformToByteArray()) ?? '');
}

async function listVersions(s3: S3Client, Bucket: string, Prefix: string): Promise<ListedVersion[]> {
  const entries: ListedVersion[] = [];
  let page: ListObjectVersionsCommandOutput | undefined;
  do {
    const markers = { KeyMarker: page?.NextKeyMarker, VersionIdMarker: page?.NextVersionIdMarker };
    page = await s3.send(new ListObjectVersionsCommand({ Bucket, Prefix, ...markers }));
    for (const [list, isDeleteMarker] of [
      [page.Versions, false],
      [page.DeleteMarkers, true],
    ] as const) {
      for (const { Key = '', VersionId = '', IsLatest = false } of list ?? [])
        entries.push({ key: Key, versionId: VersionId, isLatest: IsLatest, isDeleteMarker });
    }
  } while (page.IsTruncated);
  return entries;
}
