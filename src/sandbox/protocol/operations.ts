import { LookupEvents$ } from '@aws-sdk/client-cloudtrail';
import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as s3 from '@aws-sdk/client-s3';
import * as sts from '@aws-sdk/client-sts';
import { normal, type Schema } from './codec.ts';

export type ServiceName = 's3' | 'iam' | 'kms' | 'sts' | 'cloudtrail';

/** An operation as a client of the SDK describes it. */
export interface Operation {
  name: string;
  /** Method, path with labels and literal query, and the status of success. */
  http: [method: string, uri: string, status: number];
  input: Schema;
  output: Schema;
}

const OPERATION = 9;

function operationsOf(client: object): Map<string, Operation> {
  const found = new Map<string, Operation>();
  for (const value of Object.values(client)) {
    if (!Array.isArray(value) || value[0] !== OPERATION) continue;
    const [, , name, traits, input, output] = value as [
      number,
      string,
      string,
      { http?: Operation['http'] },
      Schema,
      Schema,
    ];
    found.set(name, { name, http: traits?.http ?? ['POST', '/', 200], input, output });
  }
  return found;
}

export const operations: Record<ServiceName, Map<string, Operation>> = {
  s3: operationsOf(s3),
  iam: operationsOf(iam),
  kms: operationsOf(kms),
  sts: operationsOf(sts),
  // Of CloudTrail it speaks this alone.
  cloudtrail: operationsOf({ LookupEvents$ }),
};

interface Route {
  operation: Operation;
  method: string;
  bucket: boolean;
  key: boolean;
  /** Query keys, with their values where the operation fixes one, that tell this operation from others. */
  literals: [string, string][];
  copies: boolean;
}

const routes: Route[] = [...operations.s3.values()].map((operation) => {
  const [method, uri] = operation.http;
  const [path = '', query = ''] = uri.split('?');
  const members = normal(operation.input).isUnitSchema() ? {} : normal(operation.input).getMemberSchemas();
  return {
    operation,
    method,
    bucket: members.Bucket !== undefined,
    key: path.includes('{Key+}'),
    literals: [...new URLSearchParams(query)].filter(([name]) => name !== 'x-id'),
    copies: members.CopySource !== undefined,
  };
});

/** Required query members that tell apart what the path and its literals do not. */
const REQUIRED_QUERY: Record<string, string> = {
  UploadPart: 'partNumber',
  UploadPartCopy: 'partNumber',
  ListParts: 'uploadId',
  AbortMultipartUpload: 'uploadId',
  CompleteMultipartUpload: 'uploadId',
};

/** The S3 operation of a request: method and shape of the path, and then the one with the most literal query keys. */
export function routeS3(
  method: string,
  bucket: string,
  key: string,
  query: URLSearchParams,
  copies: boolean,
): Operation | undefined {
  const specific = (route: Route) => route.literals.length + (REQUIRED_QUERY[route.operation.name] ? 1 : 0);
  return routes
    .filter(
      (route) =>
        route.method === method &&
        route.key === (key !== '') &&
        route.bucket === (bucket !== '') &&
        route.copies === copies &&
        route.literals.every(
          ([name, value]) => query.has(name) && (value === '' || query.get(name) === value),
        ) &&
        hasRequired(route, query),
    )
    .sort((a, b) => specific(b) - specific(a))[0]?.operation;
}

function hasRequired({ operation }: Route, query: URLSearchParams): boolean {
  const required = REQUIRED_QUERY[operation.name];
  return required === undefined || query.has(required);
}
