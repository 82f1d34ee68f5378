import { authorize, queuePolicyOf, type ServiceSender, serviceConditionKeysOf } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { KeyService } from '../kms/keys.ts';
import { findKeyRefusal } from '../service-keys.ts';
import type { MessageAttribute, MessageState, QueueState } from '../state.ts';
import type { Store } from '../store.ts';
import { addMessage, msUntilVisible, type NewMessage } from './queue-contents.ts';

/** Queues as other services and the handlers of SQS use them. */
export interface QueueService {
  /**
   * Adds a message to a queue, and wakes the receivers that wait for one.
   *
   * @throws AwsError OverLimit when the queue is full.
   */
  add(queue: QueueState, message: NewMessage): MessageState;
  /** Wakes the receivers of a queue after a message may have become visible. */
  wake(queue: QueueState): void;
  /** Returns the reason why a service may not send to a queue; undefined if it may. */
  findRefusal(queueArn: string, sender: ServiceSender): SendRefusal | undefined;
  /** Sends a message as a service. Returns the reason if the service may not send. */
  sendAs(sender: ServiceSender, queueArn: string, message: ServiceMessage): SendRefusal | undefined;
  /**
   * Resolves when a message was added, one becomes visible again, the time is over, or the signal is aborted. The caller
   * has to check which.
   */
  wait(queue: QueueState, ms: number, signal: AbortSignal): Promise<void>;
}

/** A message that a service sends to a queue or topic. */
export interface ServiceMessage {
  body: string;
  /** Subject of a message to a topic. */
  subject?: string;
  attributes?: Record<string, MessageAttribute>;
}

export interface SendRefusal {
  cause: 'absent' | 'denied';
  detail: string;
}

export function createQueueService(options: {
  store: Store;
  keyService: KeyService;
  clock: () => number;
}): QueueService {
  const { store, keyService, clock } = options;
  /** Functions that wake the receivers of a queue, by its ARN. */
  const receivers = new Map<string, Set<() => void>>();

  const service: QueueService = {
    add(queue, message) {
      const state = addMessage(store, queue, message, clock());
      service.wake(queue);
      return state;
    },

    wake({ arn }) {
      for (const wake of [...(receivers.get(arn) ?? [])]) wake();
    },

    findRefusal(queueArn, sender) {
      const queue = store.queue(queueArn);
      if (!queue) return { cause: 'absent', detail: `the queue ${queueArn} does not exist` };
      const decision = authorize(
        store,
        {
          principal: sender.service,
          action: 'sqs:SendMessage',
          resource: queue.arn,
          resourceAccount: queue.account,
          context: { ...serviceConditionKeysOf(sender), 'aws:RequestedRegion': queue.region },
          ...queuePolicyOf(store, queue, clock()),
        },
        clock(),
      );
      if (!decision.allowed) return { cause: 'denied', detail: decision.reason };
      const keyId = queue.attributes.get('KmsMasterKeyId');
      if (keyId === undefined) return undefined;
      const context = queueEncryptionContextOf(queue);
      const detail = findKeyRefusal(keyService, { ...queue, keyId, service: 'sqs', context }, sender);
      return detail === undefined ? undefined : { cause: 'denied', detail };
    },

    sendAs(sender, queueArn, { body, attributes }) {
      const refusal = service.findRefusal(queueArn, sender);
      const queue = store.queue(queueArn);
      if (refusal || !queue) return refusal;
      try {
        service.add(queue, { body, sender: sender.service, ...(attributes ? { attributes } : {}) });
        return undefined;
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        return { cause: 'denied', detail: error.message };
      }
    },

    wait: (queue, ms, signal) =>
      new Promise((resolve) => {
        const wakers = receivers.get(queue.arn) ?? new Set();
        receivers.set(queue.arn, wakers);
        const finish = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', finish);
          wakers.delete(finish);
          if (wakers.size === 0) receivers.delete(queue.arn);
          resolve();
        };
        const timer = setTimeout(finish, Math.min(ms, msUntilVisible(queue, clock())));
        signal.addEventListener('abort', finish);
        wakers.add(finish);
        if (signal.aborted) finish();
      }),
  };

  return service;
}

/** SQS Developer Guide, "Encryption context": SQS sends the ARN of the queue to KMS. */
export const queueEncryptionContextOf = ({ arn }: QueueState): Record<string, string> => ({
  'aws:sqs:arn': arn,
});
