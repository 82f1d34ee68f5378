import { readFile } from 'node:fs/promises';
import { parse, parseAllDocuments } from 'yaml';

/** A rule of a Role. */
export interface Rule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

const FOLDER = 'deploy/kubernetes';

const VERBS: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** Returns whether rules allow a request, by the rules of RBAC. */
export function isAllowed(
  rules: readonly Rule[],
  { method, path, isWatch }: { method: string; path: string; isWatch: boolean },
): boolean {
  const [, group, resource, name, subresource] =
    /^\/apis\/([^/]+)\/[^/]+\/namespaces\/[^/]+\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? [];
  if (group === undefined) return false;
  const verb = isWatch ? 'watch' : (VERBS[method] ?? (name === undefined ? 'list' : 'get'));
  const fullResource = subresource === undefined ? resource : `${resource}/${subresource}`;
  return rules.some(
    ({ apiGroups, resources, resourceNames, verbs }) =>
      apiGroups.includes(group) &&
      resources.includes(fullResource ?? '') &&
      verbs.includes(verb) &&
      (resourceNames === undefined || resourceNames.includes(name ?? '')),
  );
}

/** Reads the rules of the Role that the custom-resources overlay deploys. Tests run with exactly these permissions. */
export async function deployedRules(): Promise<Rule[]> {
  const [access, overlay] = await Promise.all([
    readFile(`${FOLDER}/base/access.yaml`, 'utf8'),
    readFile(`${FOLDER}/overlays/custom-resources/kustomization.yaml`, 'utf8'),
  ]);
  const role = parseAllDocuments(access)
    .map((document) => document.toJS())
    .find(({ kind }) => kind === 'Role');
  const { patches } = parse(overlay) as { patches: { target: { kind: string }; patch: string }[] };
  const overlayRules = patches
    .filter(({ target }) => target.kind === 'Role')
    .flatMap(({ patch }) => parse(patch) as { value: Rule }[]);
  return [...role.rules, ...overlayRules.map(({ value }) => value)];
}
