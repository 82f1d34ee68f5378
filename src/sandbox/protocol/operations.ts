import { LookupEvents$ } from '@aws-sdk/client-cloudtrail';
import * as cloudwatch from '@aws-sdk/client-cloudwatch';
import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as organizations from '@aws-sdk/client-organizations';
import * as s3 from '@aws-sdk/client-s3';
import * as s3control from '@aws-sdk/client-s3-control';
import * as sns from '@aws-sdk/client-sns';
import * as sqs from '@aws-sdk/client-sqs';
import * as sts from '@aws-sdk/client-sts';
import { normalizeSchema, type SdkSchema } from './codec.ts';

export type ServiceName =
  | 's3'
  | 's3control'
  | 'iam'
  | 'kms'
  | 'sts'
  | 'cloudtrail'
  | 'cloudwatch'
  | 'sqs'
  | 'sns'
  | 'organizations';

/** Services of the REST protocol. S3 Control has the signing name of S3, and paths of its own. */
export type RestService = 's3' | 's3control';

/** An operation, from the schema of an SDK client. */
export interface SdkOperation {
  name: string;
  /** HTTP method, path with labels and literal query, and status of a successful response. */
  http: [method: string, uri: string, status: number];
  input: SdkSchema;
  output: SdkSchema;
}

const OPERATION_SCHEMA_TYPE = 9;

function operationsOfClient(client: object): Map<string, SdkOperation> {
  const operationsByName = new Map<string, SdkOperation>();
  for (const value of Object.values(client)) {
    if (!Array.isArray(value) || value[0] !== OPERATION_SCHEMA_TYPE) continue;
    const [, , name, traits, input, output] = value as [
      number,
      string,
      string,
      { http?: SdkOperation['http'] },
      SdkSchema,
      SdkSchema,
    ];
    operationsByName.set(name, { name, http: traits?.http ?? ['POST', '/', 200], input, output });
  }
  return operationsByName;
}

export const operations: Record<ServiceName, Map<string, SdkOperation>> = {
  s3: operationsOfClient(s3),
  s3control: operationsOfClient(s3control),
  iam: operationsOfClient(iam),
  kms: operationsOfClient(kms),
  sts: operationsOfClient(sts),
  // LookupEvents is the only CloudTrail operation of the sandbox.
  cloudtrail: operationsOfClient({ LookupEvents$ }),
  cloudwatch: operationsOfClient(cloudwatch),
  sqs: operationsOfClient(sqs),
  sns: operationsOfClient(sns),
  organizations: operationsOfClient(organizations),
};

interface S3Route {
  operation: SdkOperation;
  method: string;
  hasBucket: boolean;
  hasKey: boolean;
  /** Query keys that identify the operation, each with its value or '' if the operation fixes none. */
  literalQuery: [string, string][];
  /** Query keys that the operation accepts: the literal ones and those of its input. */
  queryKeys: Set<string>;
  isCopy: boolean;
}

const s3Routes: S3Route[] = [...operations.s3.values()].map((operation) => {
  const [method, uri] = operation.http;
  const [path = '', query = ''] = uri.split('?');
  const members = normalizeSchema(operation.input).isUnitSchema()
    ? {}
    : normalizeSchema(operation.input).getMemberSchemas();
  const literalQuery = [...new URLSearchParams(query)].filter(([name]) => name !== 'x-id');
  return {
    operation,
    method,
    hasBucket: members.Bucket !== undefined,
    hasKey: path.includes('{Key+}'),
    literalQuery,
    queryKeys: new Set([
      ...literalQuery.map(([name]) => name),
      ...Object.values(members).flatMap((member) => member.getMergedTraits().httpQuery ?? []),
    ]),
    isCopy: members.CopySource !== undefined,
  };
});

/**
 * Query keys that select a part of a bucket or object, such as `policy` and `uploadId`. An operation that does not
 * accept such a key is not the one of the request: `DELETE /bucket?location` deletes no bucket.
 */
const SUBRESOURCES = new Set([
  ...s3Routes.flatMap(({ literalQuery }) =>
    literalQuery.filter(([, value]) => value === '').map(([name]) => name),
  ),
  'uploadId',
  'partNumber',
]);

/** Required query keys of operations that path and literal query alone do not distinguish. */
const REQUIRED_QUERY_KEYS: Record<string, string[]> = {
  UploadPart: ['partNumber', 'uploadId'],
  UploadPartCopy: ['partNumber', 'uploadId'],
  ListParts: ['uploadId'],
  AbortMultipartUpload: ['uploadId'],
  CompleteMultipartUpload: ['uploadId'],
  GetBucketAnalyticsConfiguration: ['id'],
  GetBucketIntelligentTieringConfiguration: ['id'],
  GetBucketInventoryConfiguration: ['id'],
  GetBucketMetricsConfiguration: ['id'],
};

/**
 * Returns the S3 operation of a request. It matches the method, the form of the path and the query. Of several matches,
 * the operation with the most query keys has precedence.
 */
export function routeS3(
  method: string,
  bucket: string,
  key: string,
  query: URLSearchParams,
  isCopy: boolean,
): SdkOperation | undefined {
  const specificityOf = (route: S3Route) => route.literalQuery.length + requiredQueryOf(route).length;
  return s3Routes
    .filter(
      (route) =>
        route.method === method &&
        route.hasKey === (key !== '') &&
        route.hasBucket === (bucket !== '') &&
        route.isCopy === isCopy &&
        route.literalQuery.every(
          ([name, value]) => query.has(name) && (value === '' || query.get(name) === value),
        ) &&
        requiredQueryOf(route).every((name) => query.has(name)) &&
        [...query.keys()].every((name) => !SUBRESOURCES.has(name) || route.queryKeys.has(name)),
    )
    .sort((a, b) => specificityOf(b) - specificityOf(a))[0]?.operation;
}

const requiredQueryOf = ({ operation }: S3Route): string[] => REQUIRED_QUERY_KEYS[operation.name] ?? [];

/** Paths of S3 Control. */
export const isS3ControlPath = (path: string): boolean => path.startsWith('/v20180820/');

/** Returns the S3 Control operation of a method and path, and the labels of the path; undefined for another path. */
export function routeS3Control(
  method: string,
  path: string,
): { operation: SdkOperation; labels: Record<string, string> } | undefined {
  const parts = path.split('/');
  for (const operation of operations.s3control.values()) {
    const [operationMethod, uri] = operation.http;
    const pattern = (uri.split('?')[0] ?? '').split('/');
    if (operationMethod !== method || uri.includes('?') || pattern.length !== parts.length) continue;
    const labels: Record<string, string> = {};
    const matches = pattern.every((name, index) => {
      const part = parts[index] ?? '';
      const label = /^\{(\w+)\+?\}$/.exec(name)?.[1];
      if (label === undefined) return name === part;
      labels[label] = tryDecodeUri(part);
      return part !== '';
    });
    if (matches) return { operation, labels };
  }
  return undefined;
}

/** Decodes the percent encoding of a path; returns an invalid path as it is. */
export function tryDecodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
