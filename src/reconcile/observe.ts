import type { AwsClient } from '../aws/client.ts';
import { commandInfo } from '../aws/command.ts';
import { formatAwsError } from '../aws/errors.ts';
import type { ActualState, Aws, Id, Kind, Location, Observation, Resource } from '../core/resource.ts';
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
  aws: AwsClient,
  signal?: AbortSignal,
): Promise<ActualState> {
  const cachedAws = aws.withCache();
  const observeWithId = async (resource: Resource): Promise<[Id, Observation]> => [
    resource.id,
    await observeResource(resource, kinds, cachedAws, signal),
  ];
  const observations = await Promise.all(resources.map(observeWithId));
  await cachedAws.verifyAccounts();
  return new Map(observations);
}

/** Read one resource, as an observation. */
export async function observeResource(
  resource: Resource,
  kinds: ReadonlyMap<string, Kind>,
  aws: Aws,
  signal?: AbortSignal,
): Promise<Observation> {
  const { trackedAws, lastOperation } = trackLastOperation(aws);
  try {
    const current = await kinds.get(resource.kind)?.read(trackedAws, resource);
    return current ? { state: 'present', current } : { state: 'absent' };
  } catch (error) {
    if (error instanceof UserError || signal?.aborted) throw error;
    return {
      state: 'unknown',
      reason: `cannot be read: ${formatAwsError(error, lastOperation(), resource.location)}`,
      error,
    };
  }
}

/** The same door, remembering which operation was sent last, for the message of an error. */
export function trackLastOperation(aws: Aws): { trackedAws: Aws; lastOperation: () => string } {
  let operationName = 'reading';
  return {
    lastOperation: () => operationName,
    trackedAws: {
      accountId: (account) => {
        operationName = 'sts:GetCallerIdentity';
        return aws.accountId(account);
      },
      send: (location: Location, command) => {
        const { service, operation } = commandInfo(command);
        operationName = `${service}:${operation}`;
        return aws.send(location, command);
      },
    },
  };
}
