import { LookupEvents$ } from '@aws-sdk/client-cloudtrail';
import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import * as sts from '@aws-sdk/client-sts';
import { normalizeSchema, type SdkSchema } from './codec.ts';

export type ServiceName = 's3' | 'iam' | 'kms' | 'sts' | 'cloudtrail';

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
  iam: operationsOfClient(iam),
  kms: operationsOfClient(kms),
  sts: operationsOfClient(sts),
  // LookupEvents is the only CloudTrail operation of the sandbox.
  cloudtrail: operationsOfClient({ LookupEvents$ }),
};

interface S3Route {
  operation: SdkOperation;
  method: string;
  hasBucket: boolean;
  hasKey: boolean;
  /** Query keys that identify the operation, each with its value or '' if the operation fixes none. */
  literalQuery: [string, string][];
  isCopy: boolean;
}

const s3Routes: S3Route[] = [...operations.s3.values()].map((operation) => {
  const [method, uri] = operation.http;
  const [path = '', query = ''] = uri.split('?');
  const members = normalizeSchema(operation.input).isUnitSchema()
    ? {}
    : normalizeSchema(operation.input).getMemberSchemas();
  return {
    operation,
    method,
    hasBucket: members.Bucket !== undefined,
    hasKey: path.includes('{Key+}'),
    literalQuery: [...new URLSearchParams(query)].filter(([name]) => name !== 'x-id'),
    isCopy: members.CopySource !== undefined,
  };
});

/** Required query keys of operations that path and literal query alone do not distinguish. */
const REQUIRED_QUERY_KEYS: Record<string, string> = {
  UploadPart: 'partNumber',
  UploadPartCopy: 'partNumber',
  ListParts: 'uploadId',
  AbortMultipartUpload: 'uploadId',
  CompleteMultipartUpload: 'uploadId',
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
  const specificityOf = (route: S3Route) =>
    route.literalQuery.length + (REQUIRED_QUERY_KEYS[route.operation.name] ? 1 : 0);
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
        hasRequiredQuery(route, query),
    )
    .sort((a, b) => specificityOf(b) - specificityOf(a))[0]?.operation;
}

function hasRequiredQuery({ operation }: S3Route, query: URLSearchParams): boolean {
  const requiredKey = REQUIRED_QUERY_KEYS[operation.name];
  return requiredKey === undefined || query.has(requiredKey);
}
