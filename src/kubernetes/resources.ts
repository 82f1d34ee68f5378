import type { SpecFile } from '../spec/files.ts';

export const API_GROUP = 'replikey.dev';
export const API_VERSION = 'v1';

/**
 * Plural names of the documents that are custom resources. Variables are not custom resources: overlays express the
 * differences between clusters. Number and enum fields therefore keep their types in the schema.
 */
export const RESOURCE_PLURALS = {
  BucketReplication: 'bucketreplications',
  Account: 'accounts',
  Guardrails: 'guardrails',
  Defaults: 'defaults',
} as const;

export type ResourceKind = keyof typeof RESOURCE_PLURALS;

/** Custom resource, reduced to the fields that replikey uses. */
export interface CustomResource {
  kind: ResourceKind;
  name: string;
  namespace: string;
  uid: string;
  /** Number that increases with each change of the spec. */
  generation: number;
  /** Version that changes with each change of the resource. */
  resourceVersion: string;
  labels: Record<string, string>;
  spec: unknown;
  status?: ResourceStatus;
}

/** Status that replikey writes to a resource. */
export interface ResourceStatus {
  /** Generation of the resource that the status describes. */
  observedGeneration?: number;
  /** RFC 3339 */
  lastSuccess?: string;
  conditions?: ResourceCondition[];
}

export interface ResourceCondition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  observedGeneration?: number;
  /** RFC 3339 */
  lastTransitionTime: string;
  reason: string;
  message: string;
}

/** Returns the API path that lists the resources of a kind. */
export const collectionPathOf = (kind: ResourceKind, namespace: string): string =>
  `/apis/${API_GROUP}/${API_VERSION}/namespaces/${namespace}/${RESOURCE_PLURALS[kind]}`;

export const resourcePathOf = ({ kind, namespace, name }: CustomResource): string =>
  `${collectionPathOf(kind, namespace)}/${name}`;

// biome-ignore lint/suspicious/noExplicitAny: as the API server sends it
export function toCustomResource(kind: ResourceKind, { metadata, spec, status }: any): CustomResource {
  return {
    kind,
    name: metadata.name,
    namespace: metadata.namespace,
    uid: metadata.uid,
    generation: metadata.generation ?? 0,
    resourceVersion: metadata.resourceVersion ?? '',
    labels: metadata.labels ?? {},
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

/** Returns the file name of a resource for messages and lookups: `BucketReplication/storage/tax`. */
export const resourceFileNameOf = ({
  kind,
  namespace,
  name,
}: Pick<CustomResource, 'kind' | 'namespace' | 'name'>): string => `${kind}/${namespace}/${name}`;

/**
 * Converts a resource to a spec file. JSON is valid YAML. The JSON has line breaks, so that problems refer to the
 * right line.
 */
export function toSpecFile(resource: CustomResource): SpecFile {
  const { kind, name, labels, spec } = resource;
  const metadata = kind === 'BucketReplication' ? { name, labels } : { name };
  const document = { apiVersion: `${API_GROUP}/${API_VERSION}`, kind, metadata, spec };
  return { file: resourceFileNameOf(resource), bytes: Buffer.from(JSON.stringify(document, null, 2)) };
}
