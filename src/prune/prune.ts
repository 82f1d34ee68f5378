import { describeError } from '../aws/describe-error.ts';
import type { Leftover } from '../core/leftover.ts';
import { MANAGED_BY, NOWHERE, namedRoleId } from '../core/names.ts';
import { obstacle } from '../core/plan.ts';
import type { Actual, Aws, Blocked, Kind, Note, Resource } from '../core/resource.ts';
import { markOf } from '../core/statements.ts';
import { UserError } from '../errors.ts';
import type { Specs } from '../spec/types.ts';
import { accountsOf, type Located, locate, type Reached } from './places.ts';
import { type Going, withLeftovers } from './resources.ts';
import { type RoleFound, rolesIn } from './roles.ts';
import { type Trace, tracesIn } from './traces.ts';

/** What is wanted, together with what is to be taken away. */
export interface Pruning {
  /** To be applied first: what is wanted, and of what is left the rules alone. */
  first: Resource[];
  /** And then all: a rule goes before the permissions that it uses, while what is made goes the other way round. */
  all: Resource[];
  /** What cannot be read, so that nothing is taken away there. */
  blocked: Blocked[];
  notes: Note[];
}

export interface PruneOptions {
  kinds: ReadonlyMap<string, Kind>;
  aws: Aws;
  observe(resources: readonly Resource[]): Promise<Actual>;
}

/**
 * Find what is left of specs that are not given, through the roles that S3 replicates as. The permissions of a spec go
 * only where its source bucket was read, and nothing in it needs them any more: S3 never tries a failed object again.
 */
export async function prune(
  wanted: readonly Resource[],
  specs: Specs,
  { kinds, aws, observe }: PruneOptions,
): Promise<Pruning> {
  const accounts = await accountsOf(specs, aws);
  const ambient = accounts.find(({ at }) => at.account === undefined)?.id;
  const { roles, blocked } = await everyRole(accounts, aws);
  const traces = roles.flatMap((role) =>
    tracesIn(role, specs.pairs, ({ source }) => source.accountId ?? ambient),
  );
  const located = await Promise.all(
    traces.filter(({ stays }) => stays === undefined).map((trace) => locate(trace, accounts, aws)),
  );
  const leftovers = located.map(({ leftover }) => leftover);
  const together = (going: Going, actual: Actual) => withLeftovers(wanted, going, specs.pairs, kinds, actual);

  const first = together({ rules: leftovers, permissions: [] }, new Map());
  const actual = await observe(first);
  const held = new Map(
    located.map((one) => [
      one.trace,
      one.unknown ? `${one.unknown.id} is blocked` : need(one.leftover, first, actual, kinds),
    ]),
  );
  const going = located.filter(({ trace }) => held.get(trace) === undefined);
  const staying = new Map(going.map(({ trace }) => [trace, roleStays(trace, traces, going)]));
  const permissions = going.map(({ trace, leftover }) => ({
    ...leftover,
    roleGoes: !trace.shared && staying.get(trace) === undefined,
  }));
  return {
    first,
    all: together({ rules: leftovers, permissions }, actual),
    // Permissions that stay since a bucket could not be asked are no success: the next run may take them away.
    blocked: [...blocked, ...located.flatMap(({ unknown }) => unknown ?? [])],
    notes: [
      ...traces.flatMap((trace) => note(trace, 'what is left of it stays', trace.stays)),
      ...located.flatMap(({ trace }) => note(trace, 'its permissions stay', held.get(trace))),
      ...going.flatMap(({ trace }) => note(trace, 'the role stays', staying.get(trace))),
      ...going.flatMap(({ trace, elsewhere }) =>
        note(trace, 'what other policies say of it stays', ownersOf(trace, elsewhere)),
      ),
    ],
  };
}

/** The roles of all accounts. Where they cannot be listed nothing is found, which a person must know. */
async function everyRole(
  accounts: readonly Reached[],
  aws: Aws,
): Promise<{ roles: RoleFound[]; blocked: Blocked[] }> {
  const roles: RoleFound[] = [];
  const blocked: Blocked[] = [];
  for (const { id, at } of accounts) {
    try {
      roles.push(...(await rolesIn(aws, at)));
    } catch (error) {
      if (error instanceof UserError) throw error;
      const why = `what is left of specs cannot be found: ${describeError(error, 'iam:GetAccountAuthorizationDetails', at)}`;
      blocked.push({ id: `iam.role/all of ${id}`, why, pairs: [`account ${id}`], from: NOWHERE });
    }
  }
  return { roles, blocked };
}

/** Why permissions of a spec that is gone are still needed, or not known not to be, if so. */
function need(
  of: Leftover,
  resources: readonly Resource[],
  actual: Actual,
  kinds: ReadonlyMap<string, Kind>,
): string | undefined {
  for (const kind of [...kinds.values()].filter(({ prunedFirst }) => prunedFirst)) {
    for (const { id } of kind.left?.(of) ?? []) {
      const resource = resources.find((one) => one.id === id);
      const observation = actual.get(id);
      if (!resource) continue;
      if (obstacle(resource, actual, kind) !== undefined) return `${id} is blocked`;
      const why = observation?.state === 'present' ? kind.stillNeeds?.(observation.seen, of) : undefined;
      if (why !== undefined) return why;
    }
  }
  return undefined;
}

/** Why a role stays that no spec uses, if so. */
function roleStays(
  { role, shared }: Trace,
  traces: readonly Trace[],
  going: readonly Located[],
): string | undefined {
  if (shared) return undefined;
  if (role.tags[MANAGED_BY] !== 'replikey') return 'it was there before';
  if (role.others.length > 0) return `it has other policies: ${role.others.join(', ')}`;
  if (role.statements.some((statement) => !markOf(statement)))
    return 'its policy has statements that are not ours';
  const gone = new Set(going.map(({ trace }) => trace));
  const others = traces.filter((trace) => trace.role.arn === role.arn && !gone.has(trace));
  return others.length > 0 ? `it serves ${others.map(({ spec }) => spec).join(', ')}` : undefined;
}

const ownersOf = ({ name }: Trace, elsewhere: readonly string[]): string | undefined =>
  elsewhere.length > 0
    ? `the owners of ${elsewhere.join(', ')} may take away the statements Replikey…${name}`
    : undefined;

function note({ spec, role }: Trace, what: string, why: string | undefined): Note[] {
  if (why === undefined) return [];
  const id = namedRoleId(role.name, role.at.account, 'iam.role');
  return [{ id, message: `${what}: ${why}`, pairs: [spec] }];
}
