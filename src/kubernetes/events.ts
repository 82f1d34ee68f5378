import { isDrift, type PairStatus } from '../controller/status.ts';
import { escapeUnprintable } from '../util/escape.ts';

/** Something that happened, for whoever looks at the events of a resource. */
export interface ResourceEvent {
  type: 'Normal' | 'Warning';
  reason: 'Applied' | 'Drifted' | 'Failed' | 'Blocked' | 'Invalid';
  note: string;
}

/** Why a pair is not ready where no other attempt helps: a person or the spec must change. */
const BLOCKED_REASONS = ['Blocked', 'Refused'];

/** What happened to a pair between two looks. Pure. */
export function resourceEventsOf(before: PairStatus, after: PairStatus): ResourceEvent[] {
  const events: ResourceEvent[] = [];
  const drifted = after.conditions.Drifted;
  if (isDrift(drifted) && drifted.message !== before.conditions.Drifted.message)
    events.push({ type: 'Warning', reason: 'Drifted', note: escapeUnprintable(drifted.message) });
  const [change] = after.changes;
  if (change?.result === 'applied' && change.at !== before.changes[0]?.at) {
    const ids = change.steps.map(({ id }) => id);
    const idText =
      ids.length > 5 ? `${ids.slice(0, 5).join(', ')} and ${ids.length - 5} more` : ids.join(', ');
    events.push({
      type: 'Normal',
      reason: 'Applied',
      note: `${ids.length === 1 ? '1 change' : `${ids.length} changes`}: ${escapeUnprintable(idText)}`,
    });
  }
  const [readyBefore, readyAfter] = [before.conditions.Ready, after.conditions.Ready];
  if (
    readyAfter.status === 'False' &&
    readyAfter.reason !== 'ChangesPending' &&
    readyAfter.message !== readyBefore.message
  )
    events.push({
      type: 'Warning',
      reason: BLOCKED_REASONS.includes(readyAfter.reason) ? 'Blocked' : 'Failed',
      note: escapeUnprintable(`${readyAfter.reason}: ${readyAfter.message}`),
    });
  return events;
}
