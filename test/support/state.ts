import type { Sandbox } from '../../src/sandbox/server.ts';

/**
 * Returns the state of a sandbox in a form that is equal for equal runs: keys have the name of their alias; ids, times,
 * secrets and objects are left out. A key without an alias is named "an orphan".
 */
export function stateOf({ store }: Sandbox): unknown {
  const names = new Map<string, string>();
  const accounts = [...store.accounts()].filter((account) => account.roles.size + account.keys.size > 0);
  for (const account of accounts) {
    for (const key of account.keys.values()) names.set(key.id, 'an orphan');
    for (const alias of account.aliases.values()) names.set(alias.targetKeyId, alias.name);
    for (const role of account.roles.values()) names.set(role.id, role.name);
  }
  const state = {
    buckets: [...store.buckets()].map(({ created: _, objects: __, ...bucket }) => bucket).sort(byName),
    roles: accounts
      .flatMap((account) => [...account.roles.values()])
      .map(({ created: _, visibleFrom: __, ...role }) => role)
      .sort(byName),
    keys: accounts
      .flatMap((account) => [...account.keys.values()])
      .map(({ created: _, visibleFrom: __, material: ___, ...key }) => ({
        ...key,
        name: names.get(key.id) ?? '',
      }))
      .sort(byName),
  };
  let text = JSON.stringify(state, (_, value) =>
    value instanceof Map ? Object.fromEntries([...value].sort()) : value,
  );
  for (const [id, name] of names) text = text.replaceAll(id, `<${name}>`);
  return JSON.parse(text);
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
