import { stringify } from 'yaml';

/** The events that a rule selects: names by event source, `s3.amazonaws.com`. */
export type ChangeEventNames = ReadonlyMap<string, readonly string[]>;

/** Returns the pattern of an EventBridge rule that selects these events. */
export const changeEventPattern = (names: ChangeEventNames) => ({
  // Only AWS services can send events with these sources.
  source: [...names.keys()].map((source) => `aws.${source.split('.')[0]}`).sort(),
  'detail-type': ['AWS API Call via CloudTrail'],
  detail: {
    eventSource: [...names.keys()].sort(),
    eventName: [...new Set([...names.values()].flat())].sort(),
  },
});

/** The name of the rule, the event bus and, by default, the queue. */
const DEFAULT_NAME = 'replikey-changes';

/**
 * The number of receipts after which SQS moves a message to the dead-letter queue. With shards, each process returns a
 * message for others every few seconds for a minute.
 */
const MAX_RECEIVE_COUNT = 100;

/** Four days, in seconds: a stopped controller finds the changes of a long weekend. */
const RETENTION_SECONDS = 345_600;

const refTo = (name: string) => ({ Ref: name });
const arnAttribute = (name: string) => ({ 'Fn::GetAtt': [name, 'Arn'] });
const sub = (text: string) => ({ 'Fn::Sub': text });
const choose = (condition: string, yes: unknown, no: unknown) => ({ 'Fn::If': [condition, yes, no] });
const isEqual = (first: unknown, second: unknown) => ({ 'Fn::Equals': [first, second] });
const isGiven = (value: unknown) => ({ 'Fn::Not': [isEqual(value, '')] });

const NO_VALUE = refTo('AWS::NoValue');

/**
 * Returns a CloudFormation template, as YAML, that delivers the events of an account and Region to the queue of the central
 * account and Region. The same template is for all of them, in a stack set for example.
 */
export function renderChangeEventTemplate(names: ChangeEventNames): string {
  const header = [
    'Delivers events of changes to the queue of `reconcile --changes QUEUE`. Deploy it first in the central account and Region,',
    'then in each other account and Region with buckets, keys, queues or topics of the specs, and in us-east-1 of each account,',
    'where IAM records its events. EventBridge gets the events only in accounts with a CloudTrail trail that logs management',
    'events (AWS CloudTrail User Guide, "Creating a trail").',
  ];
  const template = {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: 'Change events of S3 replication for replikey',
    Parameters: PARAMETERS,
    Conditions: CONDITIONS,
    Resources: resources(names),
    Outputs: {
      Queue: {
        Condition: 'IsCentral',
        Description: 'The value of --changes',
        Value: arnAttribute('Queue'),
      },
    },
  };
  const body = stringify(template, { aliasDuplicateObjects: false, lineWidth: 0 });
  return `${header.map((line) => `# ${line}\n`).join('')}${body}`;
}

const PARAMETERS = {
  CentralAccount: {
    Type: 'String',
    AllowedPattern: '^\\d{12}$',
    Description: 'Id of the account with the queue',
  },
  CentralRegion: {
    Type: 'String',
    AllowedPattern: '^[a-z]{2,4}(-[a-z]+)+-\\d+$',
    Description: 'Region of the queue',
  },
  MemberAccounts: {
    Type: 'CommaDelimitedList',
    Default: '',
    Description: 'Ids of other accounts that may send events to the central account; empty for none',
  },
  OrganizationId: {
    Type: 'String',
    Default: '',
    AllowedPattern: '^(o-[a-z0-9]{10,32})?$',
    Description: 'Organization whose accounts may send events to the central account; empty for none',
  },
  QueueName: { Type: 'String', Default: DEFAULT_NAME, Description: 'Name of the queue' },
  QueueKeyArn: {
    Type: 'String',
    Default: '',
    Description:
      'ARN of the customer managed key of the queue, whose policy allows kms:Decrypt and kms:GenerateDataKey for events.amazonaws.com; empty for SSE-SQS',
  },
};

const CONDITIONS = {
  IsCentral: {
    'Fn::And': [
      isEqual(refTo('AWS::AccountId'), refTo('CentralAccount')),
      isEqual(refTo('AWS::Region'), refTo('CentralRegion')),
    ],
  },
  IsForwarding: { 'Fn::Not': [{ Condition: 'IsCentral' }] },
  HasQueueKey: isGiven(refTo('QueueKeyArn')),
  AllowsMembers: {
    'Fn::And': [{ Condition: 'IsCentral' }, isGiven({ 'Fn::Join': ['', refTo('MemberAccounts')] })],
  },
  AllowsOrganization: {
    'Fn::And': [{ Condition: 'IsCentral' }, isGiven(refTo('OrganizationId'))],
  },
};

function resources(names: ChangeEventNames): Record<string, object> {
  const EventPattern = changeEventPattern(names);
  const busArn = sub(
    `arn:\${AWS::Partition}:events:\${CentralRegion}:\${CentralAccount}:event-bus/${DEFAULT_NAME}`,
  );
  const queueTarget = { Id: 'queue', Arn: arnAttribute('Queue') };
  return {
    ChangeRule: {
      Type: 'AWS::Events::Rule',
      Properties: {
        Name: DEFAULT_NAME,
        Description: 'Changes of S3 replication, for replikey',
        EventPattern,
        Targets: [
          choose('IsCentral', queueTarget, {
            Id: 'bus',
            Arn: busArn,
            RoleArn: arnAttribute('ForwardingRole'),
          }),
        ],
      },
    },
    // A target in another account or Region requires a role.
    ForwardingRole: {
      Type: 'AWS::IAM::Role',
      Condition: 'IsForwarding',
      Properties: {
        AssumeRolePolicyDocument: policyDocument({
          Effect: 'Allow',
          Principal: { Service: 'events.amazonaws.com' },
          Action: 'sts:AssumeRole',
          Condition: { StringEquals: { 'aws:SourceAccount': refTo('AWS::AccountId') } },
        }),
        Policies: [
          {
            PolicyName: 'forward',
            PolicyDocument: policyDocument({ Effect: 'Allow', Action: 'events:PutEvents', Resource: busArn }),
          },
        ],
      },
    },
    CentralBus: { Type: 'AWS::Events::EventBus', Condition: 'IsCentral', Properties: { Name: DEFAULT_NAME } },
    CentralRule: {
      Type: 'AWS::Events::Rule',
      Condition: 'IsCentral',
      Properties: {
        Name: `${DEFAULT_NAME}-forwarded`,
        Description: 'Changes of S3 replication in other accounts and Regions, for replikey',
        EventBusName: refTo('CentralBus'),
        EventPattern,
        Targets: [queueTarget],
      },
    },
    ...busAccess(),
    Queue: {
      Type: 'AWS::SQS::Queue',
      Condition: 'IsCentral',
      UpdateReplacePolicy: 'Delete',
      DeletionPolicy: 'Delete',
      Properties: {
        QueueName: refTo('QueueName'),
        MessageRetentionPeriod: RETENTION_SECONDS,
        VisibilityTimeout: 60,
        ...QUEUE_ENCRYPTION,
        RedrivePolicy: {
          deadLetterTargetArn: arnAttribute('DeadLetterQueue'),
          maxReceiveCount: MAX_RECEIVE_COUNT,
        },
      },
    },
    DeadLetterQueue: {
      Type: 'AWS::SQS::Queue',
      Condition: 'IsCentral',
      UpdateReplacePolicy: 'Delete',
      DeletionPolicy: 'Delete',
      Properties: {
        QueueName: sub(`\${QueueName}-dead-letters`),
        MessageRetentionPeriod: 1_209_600,
        ...QUEUE_ENCRYPTION,
      },
    },
    QueuePolicy: {
      Type: 'AWS::SQS::QueuePolicy',
      Condition: 'IsCentral',
      Properties: {
        Queues: [refTo('Queue')],
        PolicyDocument: policyDocument({
          Effect: 'Allow',
          Principal: { Service: 'events.amazonaws.com' },
          Action: 'sqs:SendMessage',
          Resource: arnAttribute('Queue'),
          Condition: {
            ArnEquals: { 'aws:SourceArn': [arnAttribute('ChangeRule'), arnAttribute('CentralRule')] },
          },
        }),
      },
    },
  };
}

const QUEUE_ENCRYPTION = {
  KmsMasterKeyId: choose('HasQueueKey', refTo('QueueKeyArn'), NO_VALUE),
  SqsManagedSseEnabled: choose('HasQueueKey', NO_VALUE, true),
};

const policyDocument = (statement: object) => ({ Version: '2012-10-17', Statement: [statement] });

/** Returns the statements of the central event bus, for the accounts that may send to it. */
function busAccess(): Record<string, object> {
  const access = (Condition: string, StatementId: string, statement: object) => ({
    Type: 'AWS::Events::EventBusPolicy',
    Condition,
    Properties: {
      EventBusName: refTo('CentralBus'),
      StatementId,
      Statement: {
        Effect: 'Allow',
        ...statement,
        Action: 'events:PutEvents',
        Resource: arnAttribute('CentralBus'),
      },
    },
  });
  return {
    MemberAccess: access('AllowsMembers', 'ReplikeyMembers', { Principal: { AWS: refTo('MemberAccounts') } }),
    OrganizationAccess: access('AllowsOrganization', 'ReplikeyOrganization', {
      Principal: '*',
      Condition: { StringEquals: { 'aws:PrincipalOrgID': refTo('OrganizationId') } },
    }),
  };
}
