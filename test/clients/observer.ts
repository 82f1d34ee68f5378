import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { createRawClient, elementsOf, type SendRequest, type WireResponse } from '../sandbox/raw-request.ts';
import { ACCOUNT, type ListedVersion, SECRET } from './client.ts';

/**
 * Prepares buckets, and observes what an endpoint stores, over plain HTTP: no SDK and no client can hide a fault. Every
 * function throws for an unexpected status.
 */
export interface Observer {
  /** Creates a bucket with versioning in the Region of the observer. */
  createBucket(bucket: string): Promise<void>;
  /** Creates a KMS key with an alias. Returns its ARN. */
  createKey(alias: string): Promise<string>;
  /** Stores an object, and returns its version id. */
  put(bucket: string, key: string, body: Buffer, headers?: Record<string, string>): Promise<string>;
  /** Stores an object in parts. Only the last part may have less than 5 MiB. */
  putInParts(bucket: string, key: string, parts: Buffer[], headers: Record<string, string>): Promise<void>;
  /** Deletes an object, which creates a delete marker. */
  delete(bucket: string, key: string): Promise<void>;
  get(bucket: string, key: string, versionId?: string): Promise<WireResponse>;
  /** Returns the versions and delete markers under a prefix, the latest ones first. */
  listVersions(bucket: string, prefix: string): Promise<Required<ListedVersion>[]>;
  /** Returns the Region in the response to HeadBucket. */
  regionOf(bucket: string): Promise<string | undefined>;
}

export function createObserver(endpoint: string, region: string): Observer {
  const send = createRawClient(endpoint, { account: ACCOUNT, region });
  const sendExpectingOk: SendRequest = async (method, path, options) => {
    const response = await send(method, path, options);
    if (response.status !== 200)
      throw new Error(`${method} ${path}: status ${response.status}: ${response.text}`);
    return response;
  };
  return {
    async createBucket(bucket) {
      const constraint = `<CreateBucketConfiguration><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`;
      await sendExpectingOk('PUT', `/${bucket}`, region === 'us-east-1' ? {} : { body: constraint });
      const body = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
      await sendExpectingOk('PUT', `/${bucket}?versioning`, { body });
    },
    async createKey(alias) {
      const credentials = { accessKeyId: ACCOUNT, secretAccessKey: SECRET };
      const kms = new KMSClient({ endpoint, region, credentials });
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
      await kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: KeyMetadata?.KeyId }));
      kms.destroy();
      return KeyMetadata?.Arn ?? '';
    },
    async put(bucket, key, body, headers = {}) {
      const response = await sendExpectingOk('PUT', pathOf(bucket, key), { body, headers });
      return response.headers['x-amz-version-id'] ?? '';
    },
    async putInParts(bucket, key, parts, headers) {
      const url = pathOf(bucket, key);
      const { text } = await sendExpectingOk('POST', `${url}?uploads`, { headers });
      const uploadId = elementsOf(text, 'UploadId')[0];
      const elements: string[] = [];
      for (const [index, body] of parts.entries()) {
        const query = `partNumber=${index + 1}&uploadId=${uploadId}`;
        const part = await sendExpectingOk('PUT', `${url}?${query}`, { body });
        elements.push(`<Part><PartNumber>${index + 1}</PartNumber><ETag>${part.headers.etag}</ETag></Part>`);
      }
      const body = `<CompleteMultipartUpload>${elements.join('')}</CompleteMultipartUpload>`;
      await sendExpectingOk('POST', `${url}?uploadId=${uploadId}`, { body });
    },
    async delete(bucket, key) {
      const { status, text } = await send('DELETE', pathOf(bucket, key));
      if (status !== 204) throw new Error(`DELETE ${key}: status ${status}: ${text}`);
    },
    get: (bucket, key, versionId) =>
      sendExpectingOk(
        'GET',
        `${pathOf(bucket, key)}${versionId === undefined ? '' : `?versionId=${versionId}`}`,
      ),
    async listVersions(bucket, prefix) {
      const path = `/${bucket}?versions&prefix=${encodeURIComponent(prefix)}`;
      const { text } = await sendExpectingOk('GET', path);
      const versions = [...text.matchAll(/<(Version|DeleteMarker)>.*?<\/\1>/gs)].map(([xml, element]) => {
        const textOf = (name: string) => unescapeXml(elementsOf(xml, name)[0] ?? '');
        return {
          key: textOf('Key'),
          versionId: textOf('VersionId'),
          isLatest: textOf('IsLatest') === 'true',
          isDeleteMarker: element === 'DeleteMarker',
          lastModified: textOf('LastModified'),
        };
      });
      return versions.sort((a, b) => Number(b.isLatest) - Number(a.isLatest));
    },
    async regionOf(bucket) {
      return (await sendExpectingOk('HEAD', `/${bucket}`)).headers['x-amz-bucket-region'];
    },
  };
}

const pathOf = (bucket: string, key: string): string =>
  `/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

const unescapeXml = (text: string): string =>
  text.replace(/&(\w+);/g, (entity, name) => ENTITIES[name] ?? entity);
