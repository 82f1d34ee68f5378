import { authorize, queuePolicyOf, type ServiceSender, serviceConditionKeysOf } from '../authorize.ts';
import { AwsError } from '../aws-error.ts';
import type { KeyService } from '../kms/keys.ts';
import type { MessageState, QueueState } from '../state.ts';
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
  sendAs(sender: ServiceSender, queueArn: string, body: string): SendRefusal | undefined;
  /**
   * Resolves when a message was added, one becomes visible again, the time is over, or the signal is aborted. The caller
   * has to check which.
   */
  wait(queue: QueueState, ms: number, signal: AbortSignal): Promise<void>;
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
      return findKeyRefusal(queue, sender);
    },

    sendAs(sender, queueArn, body) {
      const refusal = service.findRefusal(queueArn, sender);
      const queue = store.queue(queueArn);
      if (refusal || !queue) return refusal;
      try {
        service.add(queue, { body, sender: sender.service });
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

  /**
   * A queue under a customer key needs a key policy that allows the service to use the key. The policy of the AWS managed
   * key allows principals of the account only (SQS Developer Guide, "Enable compatibility between event sources from AWS
   * services and encrypted queues").
   */
  function findKeyRefusal(queue: QueueState, sender: ServiceSender): SendRefusal | undefined {
    const keyId = queue.attributes.get('KmsMasterKeyId');
    if (keyId === undefined) return undefined;
    if (isManagedKey(keyId))
      return { cause: 'denied', detail: `${sender.service} cannot use the AWS managed key ${keyId}` };
    try {
      const keyArn = keyService.resolve(keyId, queue);
      const request = {
        keyArn,
        principal: sender.service,
        viaService: sqsHostOf(queue),
        context: queueEncryptionContextOf(queue),
        conditionKeys: serviceConditionKeysOf(sender),
      };
      for (const action of ['kms:GenerateDataKey', 'kms:Decrypt'] as const) keyService.check(request, action);
      return undefined;
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return { cause: 'denied', detail: error.message };
    }
  }

  return service;
}

export const isManagedKey = (keyId: string): boolean => /(^|:)alias\/aws\/sqs$/.test(keyId);

export const sqsHostOf = ({ region }: QueueState): string => `sqs.${region}.amazonaws.com`;

/** SQS Developer Guide, "Encryption context": SQS sends the ARN of the queue to KMS. */
export const queueEncryptionContextOf = ({ arn }: QueueState): Record<string, string> => ({
  'aws:sqs:arn': arn,
});
