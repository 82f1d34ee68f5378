import { describeError } from '../aws/describe-error.ts';
import type { Door } from '../aws/door.ts';
import { nameOf } from '../aws/operation.ts';
import type { Actual, Aws, Id, Kind, Observation, Place, Resource } from '../core/resource.ts';
import { UserError } from '../errors.ts';

/**
 * Read everything that is wanted, all at once; reads that several kinds share are sent once. What cannot be read is
 * unknown, with the reason, and stops nothing else.
 *
 * @throws UserError when no credentials work: then nothing can be known.
 */
export async function observe(
  resources: readonly Resource[],
  kinds: ReadonlyMap<string, Kind>,
  door: Door,
  signal?: AbortSignal,
): Promise<Actual> {
  const shared = door.sharing();
  const readWithId = async (resource: Resource): Promise<[Id, Observation]> => [
    resource.id,
    await readOne(resource, kinds, shared, signal),
  ];
  const read = await Promise.all(resources.map(readWithId));
  await shared.identified();
  return new Map(read);
}

/** Read one resource, as an observation. */
export async function readOne(
  resource: Resource,
  kinds: ReadonlyMap<string, Kind>,
  aws: Aws,
  signal?: AbortSignal,
): Promise<Observation> {
  const { named, last } = naming(aws);
  try {
    const seen = await kinds.get(resource.kind)?.read(named, resource);
    return seen ? { state: 'present', seen } : { state: 'absent' };
  } catch (error) {
    if (error instanceof UserError || signal?.aborted) throw error;
    return { state: 'unknown', why: `cannot be read: ${describeError(error, last(), resource.at)}`, error };
  }
}

/** The same door, remembering which operation was sent last, for the message of an error. */
export function naming(aws: Aws): { named: Aws; last: () => string } {
  let last = 'reading';
  return {
    last: () => last,
    named: {
      accountId: (account) => {
        last = 'sts:GetCallerIdentity';
        return aws.accountId(account);
      },
      send: (at: Place, command) => {
        const { service, operation } = nameOf(command);
        last = `${service}:${operation}`;
        return aws.send(at, command);
      },
    },
  };
}
