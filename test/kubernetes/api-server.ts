import type { KubernetesApi } from '../../src/kubernetes/api.ts';

export const NAMESPACE = 'replikey';

/** An API server for tests: a real one or a fake. */
export interface ApiServer extends AsyncDisposable {
  name: string;
  /** Environment variables with which a process runs as in a pod. */
  env: Record<string, string>;
  /** Client with all permissions. */
  admin: KubernetesApi;
}
