import type { KubernetesApi } from '../../src/kubernetes/api.ts';

export const NAMESPACE = 'replikey';

/** An API server: one that is, or one that stands in for it. */
export interface ApiServer extends AsyncDisposable {
  name: string;
  /** The environment in which a process takes itself for a pod. */
  env: Record<string, string>;
  /** May do everything. */
  admin: KubernetesApi;
}
