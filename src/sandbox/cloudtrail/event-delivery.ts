import { randomUUID } from 'node:crypto';
import { partitionOfRegion } from '../../util/arn.ts';
import type { ServiceSender } from '../authorize.ts';
import type { FaultSettings } from '../faults.ts';
import type { SendRefusal, ServiceMessage } from '../sqs/queue-service.ts';
import type { EventLogEntry } from './event-log.ts';

/** Delivers events of CloudTrail to a queue, as EventBridge does for an account with a trail. */
export interface EventDelivery {
  /** Delivers an event to each account that it concerns, after the delay of the fault settings. */
  deliver(entry: EventLogEntry): void;
  stop(): void;
}

/** Name of the rule that would deliver the events. The policy of the queue has to allow it. */
const RULE_NAME = 'replikey-changes';

/**
 * The events of all accounts and Regions reach one queue, as they do if rules forward them to a central event bus. The
 * sandbox has no API of EventBridge: the fault settings name the queue.
 */
export function createEventDelivery(options: {
  faultSettings: Pick<FaultSettings, 'changeQueue' | 'changeDelayMs'>;
  queues: {
    sendAs(sender: ServiceSender, queueArn: string, message: ServiceMessage): SendRefusal | undefined;
  };
  onError: (message: string) => void;
}): EventDelivery {
  const { faultSettings, queues, onError } = options;
  const timers = new Set<NodeJS.Timeout>();

  function send(queueArn: string, body: string): void {
    const [, , , region = '', account = ''] = queueArn.split(':');
    const sender: ServiceSender = {
      service: 'events.amazonaws.com',
      sourceArn: `arn:${partitionOfRegion(region)}:events:${region}:${account}:rule/${RULE_NAME}`,
      sourceAccount: account,
    };
    const refusal = queues.sendAs(sender, queueArn, { body });
    if (refusal) onError(`cannot send an event of CloudTrail to ${queueArn}: ${refusal.detail}`);
  }

  return {
    deliver(entry) {
      const { changeQueue, changeDelayMs } = faultSettings;
      if (changeQueue === '') return;
      for (const account of entry.accounts) {
        const body = JSON.stringify(toEnvelope(entry, account));
        if (changeDelayMs === 0) {
          send(changeQueue, body);
          continue;
        }
        const timer = setTimeout(() => {
          timers.delete(timer);
          send(changeQueue, body);
        }, changeDelayMs);
        timers.add(timer);
      }
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

/**
 * Returns an event as EventBridge delivers it (Amazon EventBridge Events Reference, "Event structure" and "AWS service events
 * delivered via AWS CloudTrail"). Each account of a call across accounts gets an event with an id of its own, and the same
 * `sharedEventID` (AWS CloudTrail User Guide, "CloudTrail record contents").
 */
function toEnvelope({ accounts, region, source, record }: EventLogEntry, account: string): object {
  const isCaller = account === record.recipientAccountId;
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'AWS API Call via CloudTrail',
    source: `aws.${source.split('.')[0]}`,
    account,
    time: record.eventTime,
    region,
    resources: [],
    detail: {
      ...record,
      ...(isCaller ? {} : { eventID: randomUUID() }),
      ...(accounts.length > 1 ? { sharedEventID: record.eventID } : {}),
      recipientAccountId: account,
    },
  };
}
