import { requireField } from '../aws/response.ts';
import type { Kind } from '../core/kind.ts';
import type { Statement } from '../iam/types.ts';
import { toStatementList } from '../policy/statements.ts';
import { parseTargetArn } from '../spec/patterns.ts';
import { dnsSuffixesOf } from '../util/arn.ts';
import { awsCli, MERGED_FILE } from '../util/aws-cli.ts';
import { queueAuditEvents } from './cloudtrail-events.ts';
import {
  assertOwnTarget,
  desiredTargetPolicy,
  mergeSenderCommand,
  orphanTargetPolicies,
  senderStatements,
  TARGET_TYPES,
  type TargetDoc,
  type TargetPolicy,
  targetPolicyMembers,
  toTargetDoc,
} from './failure-target.ts';
import { ignoreErrors } from './helpers.ts';
import { queueScope } from './scopes.ts';

/** The policy of a queue that receives failure events. The queue exists; replikey creates and deletes none. */
export const sqsQueuePolicy: Kind<TargetPolicy, TargetDoc, Statement[]> = {
  ...targetPolicyMembers(TARGET_TYPES.queue),
  name: 'sqs.queue-policy',
  scope: queueScope,
  permissions: {
    read: ['sqs:GetQueueAttributes', 'sqs:ListQueueTags'],
    write: ['sqs:SetQueueAttributes'],
  },

  desired: ({ pair }) => desiredTargetPolicy(TARGET_TYPES.queue, pair),

  orphans: (orphan) => orphanTargetPolicies(TARGET_TYPES.queue, orphan),

  async fetch(aws, location, name) {
    await assertOwnTarget(aws, location, name);
    const { GetQueueAttributesCommand } = await import('@aws-sdk/client-sqs');
    const response = await ignoreErrors(
      aws.send(
        location,
        new GetQueueAttributesCommand({
          QueueUrl: queueUrlOfArn(name),
          // SQS omits attributes that are not set. The ARN shows that the response is complete.
          AttributeNames: ['QueueArn', 'Policy', 'KmsMasterKeyId'],
        }),
      ),
      'QueueDoesNotExist',
    );
    if (!response) return undefined;
    const attributes = requireField(response, 'Attributes');
    requireField(attributes, 'QueueArn');
    return toTargetDoc(attributes);
  },

  operations: ({ resource: { name }, desired: { senders } }) => [
    {
      call: 'sqs:SetQueueAttributes',
      manual: {
        what: `allow S3 to send events to the queue ${name}`,
        document: toStatementList(senderStatements(name, senders)),
        command: addQueueSendersCommand(name, senders),
      },
    },
  ],

  async send(aws, { resource: { name, location }, doc }) {
    const { SetQueueAttributesCommand } = await import('@aws-sdk/client-sqs');
    const isEmpty = [doc?.policy.Statement ?? []].flat().length === 0;
    // SQS removes the policy when its text is empty.
    const Policy = isEmpty ? '' : JSON.stringify(doc?.policy);
    await aws.send(
      location,
      new SetQueueAttributesCommand({ QueueUrl: queueUrlOfArn(name), Attributes: { Policy } }),
    );
  },

  async fetchTags(aws, { name, location }) {
    const { ListQueueTagsCommand } = await import('@aws-sdk/client-sqs');
    const { Tags = {} } = await aws.send(
      location,
      new ListQueueTagsCommand({ QueueUrl: queueUrlOfArn(name) }),
    );
    return Tags;
  },

  auditEvents: queueAuditEvents({
    '': ['DeleteQueue'],
    '/': ['SetQueueAttributes', 'AddPermission', 'RemovePermission'],
  }),
};

/** Returns the URL of a queue, which calls of SQS name. */
export function queueUrlOfArn(arn: string): string {
  const { region, account, name } = parseTargetArn(arn);
  return `https://sqs.${region}.${dnsSuffixesOf(region)[0]}/${account}/${name}`;
}

/** Returns the command that adds statements to a queue policy, in an account that replikey cannot read. */
function addQueueSendersCommand(arn: string, senders: TargetPolicy['senders']): string {
  const { region } = parseTargetArn(arn);
  const queue = { region, 'queue-url': queueUrlOfArn(arn) };
  return mergeSenderCommand(
    {
      get: awsCli('sqs get-queue-attributes', {
        ...queue,
        'attribute-names': 'Policy',
        query: "Attributes.Policy || ''",
        output: 'text',
      }),
      put: awsCli('sqs set-queue-attributes', { ...queue, attributes: MERGED_FILE }),
      result: '{Policy: tojson}',
    },
    senderStatements(arn, senders),
  );
}
