import type { LeaseRecord, LeaseStore } from '../controller/leader-election.ts';
import type { ApiResponse, KubernetesApi } from './api.ts';

/**
 * Creates a lease store on a Lease of coordination.k8s.io. As in client-go, each update is conditional on the resource
 * version.
 */
export function createKubernetesLeaseStore(api: KubernetesApi, name: string): LeaseStore {
  const collectionPath = `/apis/coordination.k8s.io/v1/namespaces/${api.namespace}/leases`;
  const leasePath = `${collectionPath}/${name}`;
  const toLease = (record: LeaseRecord, resourceVersion?: string) => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name,
      namespace: api.namespace,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    spec: {
      holderIdentity: record.holder,
      leaseDurationSeconds: record.durationSeconds,
      acquireTime: toMicroTime(record.acquired),
      renewTime: toMicroTime(record.renewed),
      leaseTransitions: record.transitions,
    },
  });
  const isWriteAccepted = ({ status, body: responseBody }: ApiResponse): boolean => {
    if (status >= 200 && status < 300) return true;
    // Another process wrote the lease first, or deleted it.
    if (status === 409 || status === 404) return false;
    throw new Error(`cannot write lease ${name}: HTTP ${status} ${responseBody?.message ?? ''}`);
  };
  return {
    name: `lease ${name} in namespace ${api.namespace}`,
    async read() {
      const { status, body: lease } = await api.request('GET', leasePath);
      if (status === 404) return undefined;
      if (status !== 200)
        throw new Error(`cannot read lease ${name}: HTTP ${status} ${lease?.message ?? ''}`);
      const { spec = {}, metadata } = lease;
      const record: LeaseRecord = {
        holder: spec.holderIdentity ?? '',
        durationSeconds: spec.leaseDurationSeconds ?? 0,
        acquired: spec.acquireTime ?? '',
        renewed: spec.renewTime ?? '',
        transitions: spec.leaseTransitions ?? 0,
      };
      // A lease that is not a lease must not look expired: two processes would lead.
      if (typeof metadata?.resourceVersion !== 'string' || !isLeaseRecord(record))
        throw new Error(`cannot read lease ${name}: invalid response of the API server: not a lease`);
      return { version: metadata.resourceVersion, record };
    },
    create: async (record) => isWriteAccepted(await api.request('POST', collectionPath, toLease(record))),
    update: async (record, version) =>
      isWriteAccepted(await api.request('PUT', leasePath, toLease(record, version))),
  };
}

const isLeaseRecord = ({ holder, durationSeconds, acquired, renewed, transitions }: LeaseRecord): boolean =>
  [holder, acquired, renewed].every((value) => typeof value === 'string') &&
  [durationSeconds, transitions].every((value) => Number.isSafeInteger(value) && value >= 0);

/** Formats a time with microseconds, as a Lease requires. */
const toMicroTime = (iso: string): string => (iso === '' ? iso : iso.replace(/\.(\d{3})Z$/, '.$1000Z'));
