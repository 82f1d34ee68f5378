import { partitionOfRegion } from '../../util/arn.ts';
import type { Path } from '../document.ts';
import { parseTargetArn } from '../patterns.ts';
import type { ReplicationDocument } from '../schema.ts';
import type { CheckedReplication } from '../validate.ts';
import { type AccountsByName, type CheckFailure, type PairCheck, partitionFailures } from './pairs.ts';

/** Checks of the events that S3 sends about failed objects. */
export const failureChecks: readonly PairCheck[] = [
  checkReverseTarget,
  checkTargetRegions,
  checkTargetAccounts,
  checkTimeControlEvents,
  checkFailureMetrics,
];

/** A queue or topic of a spec, and the side whose bucket sends to it. */
export interface DeclaredTarget {
  path: Path;
  arn: string;
  side: 'source' | 'destination';
}

/** Returns the queues and topics of a spec: for the source bucket, and for the reverse direction of a two-way spec. */
export function targetsOf({ failures, direction }: ReplicationDocument['spec']): DeclaredTarget[] {
  if (!failures) return [];
  const { to, reverseTo } = failures;
  const forward: DeclaredTarget = { path: ['spec', 'failures', 'to'], arn: to, side: 'source' };
  if (direction !== 'both') return [forward];
  const reverse =
    reverseTo === undefined
      ? { path: forward.path, arn: to }
      : { path: ['spec', 'failures', 'reverseTo'], arn: reverseTo };
  return [forward, { ...reverse, side: 'destination' }];
}

const nameOfTarget = (arn: string): 'queue' | 'topic' =>
  parseTargetArn(arn).service === 'sns' ? 'topic' : 'queue';

function checkReverseTarget({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const { failures, direction, source, destination } = spec;
  if (!failures) return [];
  const isBoth = direction === 'both';
  if (failures.reverseTo !== undefined && !isBoth) {
    const message = 'reverseTo is for the reverse direction, which this spec does not have';
    const hint = 'remove reverseTo, or add direction: both';
    return [[['spec', 'failures', 'reverseTo'], message, hint, ['spec', 'direction']]];
  }
  if (!isBoth || failures.reverseTo !== undefined || source.region === destination.region) return [];
  const message = `direction: both also replicates from ${destination.bucket}, which sends events only to a queue or topic in ${destination.region}`;
  const hint = `add reverseTo: the ARN of a queue or topic in ${destination.region}`;
  return [[['spec', 'failures', 'to'], message, hint, ['spec', 'direction'], ['spec', 'destination']]];
}

function checkTargetRegions({ content: { spec } }: CheckedReplication): CheckFailure[] {
  return targetsOf(spec).flatMap(({ path, arn, side }): CheckFailure[] => {
    const { bucket, region } = spec[side];
    const target = parseTargetArn(arn);
    if (target.partition !== partitionOfRegion(region)) return partitionFailures(path, arn, side, region);
    // `checkReverseTarget` reports a missing target of the reverse direction.
    const isShared = side === 'destination' && spec.failures?.reverseTo === undefined;
    if (isShared || target.region === region) return [];
    const message = `the ${nameOfTarget(arn)} is in ${target.region}, but the bucket ${bucket} is in ${region}`;
    const hint = `use a queue or topic in ${region}; S3 sends events to no other Region`;
    return [[path, message, hint, ['spec', side, 'region']]];
  });
}

/** Checks that replikey knows whether it has credentials for the account of a queue or topic. */
function checkTargetAccounts(
  { content: { spec } }: CheckedReplication,
  accounts: AccountsByName,
): CheckFailure[] {
  return targetsOf(spec).flatMap(({ path, arn, side }): CheckFailure[] => {
    const { account: id } = parseTargetArn(arn);
    const isDeclared = [...accounts.values()].some((account) => account.id === id);
    // A pass compares the account of the ambient credentials with that of the ARN.
    if (spec[side].account === undefined || isDeclared) return [];
    const message = `the ${nameOfTarget(arn)} belongs to account ${id}, which no Account document declares`;
    const hint = `add an Account document with id: "${id}", and managed: false if replikey has no credentials for it`;
    return [[path, message, hint, ['spec', side, 'account']]];
  });
}

/** Events that S3 sends only for objects under S3 Replication Time Control. */
const TIME_CONTROL_EVENTS: readonly string[] = ['missedThreshold', 'replicatedLate'];

function checkTimeControlEvents({ content: { spec } }: CheckedReplication): CheckFailure[] {
  if (spec.rules.some(({ replicationTimeControl }) => replicationTimeControl)) return [];
  return (spec.failures?.events ?? []).flatMap((event, index): CheckFailure[] => {
    if (!TIME_CONTROL_EVENTS.includes(event)) return [];
    const message = `S3 sends ${event} events only for rules with replicationTimeControl, and no rule of this spec has it`;
    const hint = 'set replicationTimeControl: true on a rule, or remove the event';
    return [[['spec', 'failures', 'events', index], message, hint, ['spec', 'rules']]];
  });
}

function checkFailureMetrics({ content: { spec } }: CheckedReplication): CheckFailure[] {
  if (!spec.failures) return [];
  return spec.rules.flatMap(({ metrics, enabled }, index): CheckFailure[] => {
    if (metrics || !enabled) return [];
    const message = 'S3 sends no events about failed objects of a rule without metrics';
    return [[['spec', 'rules', index, 'metrics'], message, 'remove metrics: false, or remove failures']];
  });
}
