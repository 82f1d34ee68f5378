import type { BucketReplication } from '../spec/types.ts';
import { accountsOfPair, derivedRoleArn, roleResourceId } from './ids.ts';
import type { Kind } from './kind.ts';
import { renderFrom } from './plan.ts';
import type { Handover, Ref, Resource } from './resource.ts';

/**
 * Splits resources by whether replikey has credentials for their accounts. Managed resources no longer wait for
 * unmanaged ones, because replikey cannot observe when those exist.
 */
export function splitByAccess(
  resources: readonly Resource[],
  pairs: readonly BucketReplication[],
): { managed: Resource[]; unmanaged: Resource[] } {
  const unmanagedAccounts = new Set(
    pairs.flatMap(accountsOfPair).flatMap(({ account, managed }) => (managed ? [] : [account])),
  );
  if (unmanagedAccounts.size === 0) return { managed: [...resources], unmanaged: [] };
  const unmanaged = resources.filter(({ location }) => unmanagedAccounts.has(location.account));
  const unmanagedIds = new Set(unmanaged.map(({ id }) => id));
  const managed = resources
    .filter(({ id }) => !unmanagedIds.has(id))
    .map((resource) => ({ ...resource, after: resource.after.filter((id) => !unmanagedIds.has(id)) }));
  return { managed, unmanaged };
}

/** A part of the text in place of an ARN that is not known yet. A command with it would fail. */
const KNOWN_AFTER_APPLY = 'known after apply';

/**
 * Returns the manual steps for the owners of unmanaged accounts, as documents and commands. A role appears by its ARN,
 * which is known before the role exists; a key appears by its ARN when that is known.
 */
export function planHandover(
  unmanaged: readonly Resource[],
  pairs: readonly BucketReplication[],
  kinds: ReadonlyMap<string, Kind>,
  resolveRef: (ref: Ref) => string | undefined,
): Handover[] {
  const accountIdsByName = new Map(
    pairs.flatMap(accountsOfPair).map(({ account, accountId }) => [account, accountId ?? '']),
  );
  const roleKinds = [...kinds.values()].filter(({ scope }) => scope.type === 'role');
  const roleArnsById = new Map(
    roleKinds.flatMap(({ name }) => pairs.map((pair) => [roleResourceId(name, pair), derivedRoleArn(pair)])),
  );
  const toArnText = (ref: Ref) =>
    roleArnsById.get(ref.$ref) ?? resolveRef(ref) ?? `(the ARN of ${ref.$ref}, ${KNOWN_AFTER_APPLY})`;
  return unmanaged.flatMap((resource) => {
    const kind = kinds.get(resource.kind);
    if (!kind) return [];
    const { id, location, declaredBy } = resource;
    const account = accountIdsByName.get(location.account) ?? '';
    return kind.operations(renderFrom(resource, undefined, kind, toArnText)).flatMap(({ manual }) => {
      if (!manual) return [];
      const { command, ...step } = manual;
      const isComplete = !command?.includes(KNOWN_AFTER_APPLY);
      return [{ id, account, ...step, ...(isComplete && { command }), pairs: declaredBy }];
    });
  });
}
