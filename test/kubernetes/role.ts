/** What replikey may do in its namespace, as docs/kubernetes.md has it. */
export const ROLE = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] },
  {
    apiGroups: ['replikey.dev'],
    resources: ['bucketreplications', 'accounts', 'guardrails', 'defaults'],
    verbs: ['list', 'watch'],
  },
  {
    apiGroups: ['replikey.dev'],
    resources: ['bucketreplications/status', 'accounts/status', 'guardrails/status', 'defaults/status'],
    verbs: ['patch'],
  },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] },
];
