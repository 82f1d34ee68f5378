import type { Plan } from './resource.ts';

/**
 * Calls a second that KMS takes of an account in a Region, each counted for itself. What is not here may be asked for
 * more often than we ever do.
 *
 * https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
 */
export const KMS_QUOTAS = {
  CreateKey: 5,
  CreateAlias: 5,
  UpdateKeyDescription: 5,
  TagResource: 10,
  EnableKeyRotation: 15,
  DisableKeyRotation: 15,
  PutKeyPolicy: 15,
};

/** Seconds below which nobody wonders. */
const WORTH_TELLING = 10;

/**
 * The one wait that no haste shortens: new keys, where many are to be made in one account and Region. Undefined where it
 * is short.
 */
export function leastTime({ waves }: Plan): { seconds: number; keys: number; at: string } | undefined {
  const keys = new Map<string, number>();
  for (const { kind, action, at } of waves.flat()) {
    if (kind !== 'kms.key' || action !== 'create') continue;
    const where = at.account === undefined ? at.region : `${at.account}/${at.region}`;
    keys.set(where, (keys.get(where) ?? 0) + 1);
  }
  const [at, most] = [...keys].sort(([, a], [, b]) => b - a)[0] ?? ['', 0];
  const seconds = Math.ceil(most / KMS_QUOTAS.CreateKey);
  return seconds < WORTH_TELLING ? undefined : { seconds, keys: most, at };
}
