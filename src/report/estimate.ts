import type { Plan } from '../core/resource.ts';

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
const MIN_REPORTED_SECONDS = 10;

/**
 * The one wait that no haste shortens: new keys, where many are to be made in one account and Region. Undefined where it
 * is short.
 */
export function minimumDuration({
  waves,
}: Plan): { seconds: number; keyCount: number; location: string } | undefined {
  const keysByLocation = new Map<string, number>();
  for (const { kind, action, at } of waves.flat()) {
    if (kind !== 'kms.key' || action !== 'create') continue;
    const label = at.account === undefined ? at.region : `${at.account}/${at.region}`;
    keysByLocation.set(label, (keysByLocation.get(label) ?? 0) + 1);
  }
  const [location, keyCount] = [...keysByLocation].sort(([, a], [, b]) => b - a)[0] ?? ['', 0];
  const seconds = Math.ceil(keyCount / KMS_QUOTAS.CreateKey);
  return seconds < MIN_REPORTED_SECONDS ? undefined : { seconds, keyCount: keyCount, location };
}
