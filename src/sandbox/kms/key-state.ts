import { AwsError } from '../aws-error.ts';
import type { KeyState } from '../state.ts';
import type { Store } from '../store.ts';

/**
 * States of keys, and the operations that each state allows (KMS Developer Guide, "Key states of AWS KMS keys"). The
 * state of a key changes with time: a replica key becomes enabled, a scheduled deletion takes place.
 */

export const DAY_MS = 86_400_000;

/** Returns the state that KMS reports for a key at a time, in milliseconds since the epoch. */
export function keyStateAt(store: Store, key: KeyState, now: number): KeyState['state'] {
  if (key.creatingUntil !== undefined && now < key.creatingUntil) return 'Creating';
  if (key.state === 'PendingReplicaDeletion' && replicasOf(store, key, now).length === 0)
    return 'PendingDeletion';
  return key.state;
}

/** Returns the time at which KMS deletes a key; undefined while no time is set. */
export function deletionDateOf(store: Store, key: KeyState): number | undefined {
  if (key.state !== 'PendingReplicaDeletion') return key.deletionDate;
  // The window of a primary key starts when KMS has deleted its last replica key.
  const replicaDates = storedReplicasOf(store, key).map(({ deletionDate }) => deletionDate ?? Infinity);
  const last = Math.max(...replicaDates);
  return Number.isFinite(last) ? last + (key.pendingWindowInDays ?? 30) * DAY_MS : undefined;
}

/** Returns whether requests see a key: it has propagated, and KMS has not deleted it yet. */
export function isKeyVisible(store: Store, key: KeyState, now: number): boolean {
  return key.visibleFrom <= now && (deletionDateOf(store, key) ?? Infinity) > now;
}

/** Returns the existing replica keys of a multi-Region primary key. */
export const replicasOf = (store: Store, key: KeyState, now: number): KeyState[] =>
  storedReplicasOf(store, key).filter(({ deletionDate = Infinity }) => deletionDate > now);

const storedReplicasOf = (store: Store, key: KeyState): KeyState[] =>
  key.multiRegion && isPrimaryKey(key)
    ? [...store.account(key.account).keys.values()].filter(
        (other) => other.id === key.id && other.region !== key.region,
      )
    : [];

export const isPrimaryKey = ({ region, primaryRegion = region }: KeyState): boolean =>
  region === primaryRegion;

/** Words for a state in the messages of KMS: `ARN is pending deletion.` */
const STATE_PHRASES: Record<Exclude<KeyState['state'], 'Enabled'>, string> = {
  Creating: 'creating',
  Disabled: 'disabled',
  PendingDeletion: 'pending deletion',
  PendingReplicaDeletion: 'pending replica deletion',
  PendingImport: 'pending import',
  Unavailable: 'unavailable',
};

/** @throws AwsError when the key is in one of the states, which the operation does not support. */
export function rejectKeyStates(
  store: Store,
  key: KeyState,
  now: number,
  states: readonly KeyState['state'][],
): void {
  const state = keyStateAt(store, key, now);
  if (state === 'Enabled' || !states.includes(state)) return;
  const code = state === 'Disabled' ? 'DisabledException' : 'KMSInvalidStateException';
  throw new AwsError(400, code, `${key.arn} is ${STATE_PHRASES[state]}.`);
}

/** States in which KMS changes no setting of a key. */
export const DELETION_STATES: readonly KeyState['state'][] = ['PendingDeletion', 'PendingReplicaDeletion'];

/** States in which KMS uses no key for cryptography. */
export const UNUSABLE_STATES: readonly KeyState['state'][] = [
  ...DELETION_STATES,
  'Disabled',
  'PendingImport',
  'Creating',
  'Unavailable',
];
