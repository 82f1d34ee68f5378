import { requireField } from '../aws/response.ts';
import type { Kind } from '../core/kind.ts';
import type { Statement } from '../iam/types.ts';
import { toStatementList } from '../policy/statements.ts';
import { parseTargetArn } from '../spec/patterns.ts';
import { awsCli, MERGED_FILE } from '../util/aws-cli.ts';
import { topicAuditEvents } from './cloudtrail-events.ts';
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
import { ignoreErrors, toTagMap } from './helpers.ts';
import { topicScope } from './scopes.ts';

/** The policy of a topic that receives failure events. The topic exists; replikey creates and deletes none. */
export const snsTopicPolicy: Kind<TargetPolicy, TargetDoc, Statement[]> = {
  ...targetPolicyMembers(TARGET_TYPES.topic),
  name: 'sns.topic-policy',
  scope: topicScope,
  permissions: {
    read: ['sns:GetTopicAttributes', 'sns:ListTagsForResource'],
    write: ['sns:SetTopicAttributes'],
  },

  desired: ({ pair }) => desiredTargetPolicy(TARGET_TYPES.topic, pair),

  orphans: (orphan) => orphanTargetPolicies(TARGET_TYPES.topic, orphan),

  async fetch(aws, location, name) {
    await assertOwnTarget(aws, location, name);
    const { GetTopicAttributesCommand } = await import('@aws-sdk/client-sns');
    const response = await ignoreErrors(
      aws.send(location, new GetTopicAttributesCommand({ TopicArn: name })),
      'NotFoundException',
    );
    if (!response) return undefined;
    const attributes = requireField(response, 'Attributes');
    requireField(attributes, 'TopicArn');
    return toTargetDoc(attributes);
  },

  operations: ({ resource: { name }, desired: { senders } }) => [
    {
      call: 'sns:SetTopicAttributes',
      manual: {
        what: `allow S3 to send events to the topic ${name}`,
        document: toStatementList(senderStatements(name, senders)),
        command: addTopicSendersCommand(name, senders),
      },
    },
  ],

  async send(aws, { resource: { name, location }, doc }) {
    const { SetTopicAttributesCommand } = await import('@aws-sdk/client-sns');
    await aws.send(
      location,
      new SetTopicAttributesCommand({
        TopicArn: name,
        AttributeName: 'Policy',
        AttributeValue: JSON.stringify(doc?.policy),
      }),
    );
  },

  async fetchTags(aws, { name, location }) {
    const { ListTagsForResourceCommand } = await import('@aws-sdk/client-sns');
    const { Tags } = await aws.send(location, new ListTagsForResourceCommand({ ResourceArn: name }));
    return toTagMap(Tags);
  },

  auditEvents: topicAuditEvents({
    '': ['DeleteTopic'],
    '/': ['SetTopicAttributes', 'AddPermission', 'RemovePermission'],
  }),
};

/** Returns the command that adds statements to a topic policy, in an account that replikey cannot read. */
function addTopicSendersCommand(arn: string, senders: TargetPolicy['senders']): string {
  const topic = { region: parseTargetArn(arn).region, 'topic-arn': arn };
  return mergeSenderCommand(
    {
      get: awsCli('sns get-topic-attributes', { ...topic, query: 'Attributes.Policy', output: 'text' }),
      put: awsCli('sns set-topic-attributes', {
        ...topic,
        'attribute-name': 'Policy',
        'attribute-value': MERGED_FILE,
      }),
      result: '.',
    },
    senderStatements(arn, senders),
  );
}
