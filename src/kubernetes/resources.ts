import type { File } from '../spec/files.ts';
import type { ResourceStatus } from './resource-status.ts';

export const GROUP = 'replikey.dev';
export const VERSION = 'v1';

/**
 * The documents that are custom resources, and what Kubernetes calls many of them. Variables are none: what differs from
 * cluster to cluster is said by overlays there, and a field that is a number or a word of a list stays one.
 */
export const PLURALS = {
  BucketReplication: 'bucketreplications',
  Account: 'accounts',
  Guardrails: 'guardrails',
  Defaults: 'defaults',
} as const;

export type ResourceKind = keyof typeof PLURALS;

/** A custom resource, without what nobody here looks at. */
export interface Resource {
  kind: ResourceKind;
  name: string;
  namespace: string;
  uid: string;
  /** Grows with each change of the spec. */
  generation: number;
  /** Another with each change of whatever. */
  version: string;
  labels: Record<string, string>;
  spec: unknown;
  status?: ResourceStatus;
}

/** Where resources of a kind are listed. */
export const listOf = (kind: ResourceKind, namespace: string): string =>
  `/apis/${GROUP}/${VERSION}/namespaces/${namespace}/${PLURALS[kind]}`;

export const pathOf = ({ kind, namespace, name }: Resource): string => `${listOf(kind, namespace)}/${name}`;

// biome-ignore lint/suspicious/noExplicitAny: as the API server sends it
export function resourceFrom(kind: ResourceKind, { metadata, spec, status }: any): Resource {
  return {
    kind,
    name: metadata.name,
    namespace: metadata.namespace,
    uid: metadata.uid,
    generation: metadata.generation ?? 0,
    version: metadata.resourceVersion ?? '',
    labels: metadata.labels ?? {},
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

/** What a resource is called where a file is expected: `BucketReplication/storage/tax`. */
export const fileNameOf = ({
  kind,
  namespace,
  name,
}: Pick<Resource, 'kind' | 'namespace' | 'name'>): string => `${kind}/${namespace}/${name}`;

/** The document that a resource stands for; JSON is YAML, in lines so that a problem shows the right one. */
export function fileFrom(resource: Resource): File {
  const { kind, name, labels, spec } = resource;
  const metadata = kind === 'BucketReplication' ? { name, labels } : { name };
  const document = { apiVersion: `${GROUP}/${VERSION}`, kind, metadata, spec };
  return { file: fileNameOf(resource), bytes: Buffer.from(JSON.stringify(document, null, 2)) };
}
