import { readFile } from 'node:fs/promises';
import { parse, parseAllDocuments } from 'yaml';

/** As a Role has it. */
export interface Rule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

const FOLDER = 'deploy/kubernetes';

const VERBS: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** Whether rules allow a request, as RBAC judges. */
export function isAllowed(
  rules: readonly Rule[],
  { method, path, isWatch }: { method: string; path: string; isWatch: boolean },
): boolean {
  const [, group, resource, name, part] =
    /^\/apis\/([^/]+)\/[^/]+\/namespaces\/[^/]+\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? [];
  if (group === undefined) return false;
  const verb = isWatch ? 'watch' : (VERBS[method] ?? (name === undefined ? 'list' : 'get'));
  const whole = part === undefined ? resource : `${resource}/${part}`;
  return rules.some(
    ({ apiGroups, resources, resourceNames, verbs }) =>
      apiGroups.includes(group) &&
      resources.includes(whole ?? '') &&
      verbs.includes(verb) &&
      (resourceNames === undefined || resourceNames.includes(name ?? '')),
  );
}

/** What replikey may do in its namespace as it is deployed with custom resources: no more than that is tried with. */
export async function deployedRules(): Promise<Rule[]> {
  const [access, overlay] = await Promise.all([
    readFile(`${FOLDER}/base/access.yaml`, 'utf8'),
    readFile(`${FOLDER}/overlays/custom-resources/kustomization.yaml`, 'utf8'),
  ]);
  const role = parseAllDocuments(access)
    .map((document) => document.toJS())
    .find(({ kind }) => kind === 'Role');
  const { patches } = parse(overlay) as { patches: { target: { kind: string }; patch: string }[] };
  const added = patches
    .filter(({ target }) => target.kind === 'Role')
    .flatMap(({ patch }) => parse(patch) as { value: Rule }[]);
  return [...role.rules, ...added.map(({ value }) => value)];
}
