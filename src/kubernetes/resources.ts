import type { SpecFile } from '../spec/files.ts';

export const API_GROUP = 'replikey.dev';
export const API_VERSION = 'v1';

/**
 * The documents that are custom resources, and what Kubernetes calls many of them. Variables are none: what differs from
 * cluster to cluster is said by overlays there, and a field that is a number or a word of a list stays one.
 */
export const RESOURCE_PLURALS = {
  BucketReplication: 'bucketreplications',
  Account: 'accounts',
  Guardrails: 'guardrails',
  Defaults: 'defaults',
} as const;

export type ResourceKind = keyof typeof RESOURCE_PLURALS;

/** A custom resource, without what nobody here looks at. */
export interface CustomResource {
  kind: ResourceKind;
  name: string;
  namespace: string;
  uid: string;
  /** Grows with each change of the spec. */
  generation: number;
  /** Another with each change of whatever. */
  resourceVersion: string;
  labels: Record<string, string>;
  spec: unknown;
  status?: ResourceStatus;
}

/** What is written to the status of a resource. */
export interface ResourceStatus {
  /** The generation of the resource that this is about. */
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

/** Where resources of a kind are listed. */
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

/** What a resource is called where a file is expected: `BucketReplication/storage/tax`. */
export const resourceFileNameOf = ({
  kind,
  namespace,
  name,
}: Pick<CustomResource, 'kind' | 'namespace' | 'name'>): string => `${kind}/${namespace}/${name}`;

/** The document that a resource stands for; JSON is YAML, in lines so that a problem shows the right one. */
export function toSpecFile(resource: CustomResource): SpecFile {
  const { kind, name, labels, spec } = resource;
  const metadata = kind === 'BucketReplication' ? { name, labels } : { name };
  const document = { apiVersion: `${API_GROUP}/${API_VERSION}`, kind, metadata, spec };
  return { file: resourceFileNameOf(resource), bytes: Buffer.from(JSON.stringify(document, null, 2)) };
}
