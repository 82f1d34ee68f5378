import { KMS_QUOTAS } from '../aws/quotas.ts';
import type { Plan } from '../core/resource.ts';

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
