import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CloudWatchClient, DeleteAlarmsCommand, PutMetricAlarmCommand } from '@aws-sdk/client-cloudwatch';
import {
  CreateRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  KMSClient,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  type CreateBucketCommandInput,
  DeleteBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketPolicyCommand,
  PutBucketReplicationCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type ReplicationRule,
  S3Client,
} from '@aws-sdk/client-s3';
import { CreateTopicCommand, SNSClient } from '@aws-sdk/client-sns';
import type { FleetCategory } from '../../src/fleet/types.ts';
import type { Statement } from '../../src/iam/types.ts';
import type { FindingCode } from '../../src/proof/findings.ts';
import { TEST_SECRET } from './secrets.ts';

/**
 * A fleet of accounts with replication of many forms, some of them faulty, as people configure it with the API of AWS:
 * no part of replikey writes it, and the policies follow the S3 User Guide ("Replicating encrypted objects",
 * "Configuring replication when source and destination buckets are owned by different accounts").
 */

/** The accounts of the fleet, by name. `locked` does not let replikey read. */
export const FLEET_ACCOUNTS = {
  finance: '111122223333',
  backup: '444455556666',
  media: '777788889999',
  locked: '222233334444',
} as const;

/** An account that does not belong to the fleet. */
const OUTSIDER = '999900001111';

const { finance: FINANCE, backup: BACKUP, media: MEDIA, locked: LOCKED } = FLEET_ACCOUNTS;

/** The role that reads an account. Its policy is that of the documentation. */
const AUDIT_ROLE = 'fleet-audit';

/** The Account documents of the fleet, for a caller in the first account. */
export const FLEET_SPECS = Object.entries(FLEET_ACCOUNTS)
  .map(
    ([name, id]) => `apiVersion: replikey.dev/v1
kind: Account
metadata: { name: ${name} }
spec:
  id: "${id}"
  assumeRole: { arn: "arn:aws:iam::${id}:role/${AUDIT_ROLE}" }
`,
  )
  .join('---\n');

/** A fault that was planted, and the finding that a correct survey has about it. */
interface PlantedFault {
  fault: string;
  account: string;
  /** Absent: the fault concerns the account. */
  bucket?: string;
  category: FleetCategory;
  code?: FindingCode;
  /** Findings that follow from the same fault. */
  consequences?: readonly FleetCategory[];
}

/**
 * The planted faults. The categories follow from the documentation of AWS:
 * - An operation that failed counts in OperationsFailedReplication, also after its cause is corrected.
 * - S3 skips or fails objects if the role lacks kms:Decrypt, if no policy of the replica key lets it encrypt, if that key is
 *   disabled, if versioning of the destination is suspended, or if its bucket policy does not name a role of another account.
 * - S3 never checks a destination again after PutBucketReplication, and any account can create a deleted name.
 * - S3 publishes metrics only for rules with Metrics, which version V1 of the configuration does not have.
 */
export const PLANTED_FAULTS: readonly PlantedFault[] = [
  {
    fault: 'operations failed before the role was corrected',
    account: FINANCE,
    bucket: 'fin-payroll',
    category: 'failing',
    code: 'RK1405',
  },
  {
    fault: 'the role has no statement for the source key',
    account: FINANCE,
    bucket: 'fin-claims',
    category: 'not-proven',
    code: 'RK1307',
  },
  {
    fault: 'the policy of the replica key does not allow the role',
    account: FINANCE,
    bucket: 'fin-ledger',
    category: 'not-proven',
    code: 'RK1312',
  },
  {
    fault: 'the replica key is disabled',
    account: MEDIA,
    bucket: 'med-scans',
    category: 'not-proven',
    code: 'RK1203',
  },
  {
    fault: 'versioning of the destination is suspended',
    account: MEDIA,
    bucket: 'med-masters',
    category: 'not-proven',
    code: 'RK1104',
  },
  {
    fault: 'the bucket policy of the other account does not name the role',
    account: FINANCE,
    bucket: 'fin-audit',
    category: 'not-proven',
    code: 'RK1308',
  },
  {
    fault: 'the destination bucket was deleted',
    account: MEDIA,
    bucket: 'med-exports',
    category: 'dangling-destination',
  },
  {
    fault: 'an unknown account created the deleted destination again',
    account: FINANCE,
    bucket: 'fin-contracts',
    category: 'destination-taken-over',
  },
  {
    fault: 'the destination belongs to an account outside the fleet',
    account: MEDIA,
    bucket: 'med-partner',
    category: 'foreign-destination',
  },
  {
    fault: 'a Deny of the bucket policy hides the configuration',
    account: BACKUP,
    bucket: 'bak-sealed',
    category: 'unknown',
  },
  {
    fault: 'no spec and no tag names a manager',
    account: BACKUP,
    bucket: 'bak-handmade',
    category: 'unmanaged',
  },
  {
    fault: 'the rule has version V1',
    account: BACKUP,
    bucket: 'bak-legacy',
    category: 'v1-rules',
    consequences: ['metrics-disabled'],
  },
  {
    fault: 'the rule has no metrics',
    account: MEDIA,
    bucket: 'med-silent',
    category: 'metrics-disabled',
  },
  { fault: 'no alarm watches the rule', account: MEDIA, bucket: 'med-unwatched', category: 'no-alarm' },
  { fault: 'the role that reads the account does not exist', account: LOCKED, category: 'unknown' },
];

interface BucketLocation {
  account: string;
  region: string;
  bucket: string;
}

const REGIONS = ['us-east-1', 'us-west-2', 'eu-west-1', 'eu-central-1'] as const;

/** Creates the fleet over the API of AWS. `waitForReplication` resolves when S3 has processed all objects. */
export async function buildFleet(
  endpoint: string,
  waitForReplication: () => Promise<void>,
): Promise<{ buckets: number }> {
  const aws = createClients(endpoint);
  const fleet = fleetBuilder(aws);
  const auditPolicy = await documentedPermissions();
  const { createBucket, createRole, putRolePolicy } = fleet;
  try {
    await Promise.all(
      [FINANCE, BACKUP, MEDIA].flatMap((account) => [
        createRole(account, AUDIT_ROLE, { AWS: `arn:aws:iam::${FINANCE}:root` }).then(() =>
          putRolePolicy(account, AUDIT_ROLE, auditPolicy),
        ),
        ...REGIONS.map((region) => aws.sns(account, region).send(new CreateTopicCommand({ Name: 'oncall' }))),
      ]),
    );
    await Promise.all([
      ...healthyPairs(fleet),
      ...faultyPairs(fleet, aws, waitForReplication),
      ...['fin-website', 'fin-logs', 'med-uploads', 'bak-state', 'bak-inventory'].map((bucket, index) =>
        createBucket({
          account: [FINANCE, MEDIA, BACKUP][index % 3] ?? FINANCE,
          region: 'us-west-2',
          bucket,
        }),
      ),
    ]);
    return { buckets: aws.created.size };
  } finally {
    aws.destroy();
  }
}

/** Corrects the role of `fin-claims`, and deletes the alarm of `fin-tax`. */
export async function repairFleet(endpoint: string): Promise<void> {
  const aws = createClients(endpoint);
  try {
    const { PolicyDocument = '' } = await aws
      .iam(FINANCE, 'us-east-1')
      .send(new GetRolePolicyCommand({ RoleName: 'replication-fin-claims', PolicyName: 'policy' }));
    const { Statement: statements } = JSON.parse(decodeURIComponent(PolicyDocument)) as {
      Statement: Statement[];
    };
    const statement = {
      Sid: 'SourceKey',
      Effect: 'Allow',
      Action: 'kms:Decrypt',
      Resource: '*',
    } as Statement;
    await fleetBuilder(aws).putRolePolicy(FINANCE, 'replication-fin-claims', [...statements, statement]);
    await aws
      .cloudwatch(FINANCE, 'us-east-1')
      .send(new DeleteAlarmsCommand({ AlarmNames: ['replication of fin-tax fails'] }));
  } finally {
    aws.destroy();
  }
}

/** Creates pairs of many forms that replicate everything they select. */
function healthyPairs({ replicate }: FleetBuilder): Promise<unknown>[] {
  const pair = (
    account: string,
    name: string,
    [sourceRegion, destinationRegion]: [string, string],
    options: Partial<ReplicateOptions> = {},
  ) => ({
    source: { account, region: sourceRegion, bucket: name },
    destination: { account, region: destinationRegion, bucket: `${name}-replica` },
    ...options,
  });
  return [
    // All objects are encrypted with SSE-S3, so the rule needs no keys.
    replicate({ ...pair(FINANCE, 'fin-reports', ['us-east-1', 'us-west-2']), encryption: 'SSE-S3' }),
    replicate(pair(FINANCE, 'fin-tax', ['us-east-1', 'us-west-2'])),
    // A paused rule replicates nothing: neither its role nor its metrics matter.
    replicate(
      pair(FINANCE, 'fin-paused', ['us-east-1', 'eu-west-1'], {
        rule: { Status: 'Disabled' },
        hasMetrics: false,
        alarm: 'none',
        rolePolicy: () => [],
      }),
    ),
    // The default key is spelled as an alias, which S3 resolves in the account of the caller.
    replicate(
      pair(FINANCE, 'fin-invoices', ['eu-central-1', 'eu-west-1'], { defaultKey: 'alias/fin-invoices' }),
    ),
    replicate({
      ...pair(FINANCE, 'fin-orders', ['eu-west-1', 'eu-central-1']),
      destination: { account: BACKUP, region: 'eu-central-1', bucket: 'bak-fin-orders' },
    }),
    replicate({
      ...pair(MEDIA, 'med-archive', ['us-west-2', 'us-east-1']),
      destination: { account: BACKUP, region: 'us-east-1', bucket: 'bak-med-archive' },
      encryption: 'SSE-S3',
    }),
    replicate(
      // One alarm with a query watches all rules of a Region.
      pair(MEDIA, 'med-clips', ['eu-west-1', 'eu-central-1'], {
        alarm: 'query',
        rule: {
          Filter: {
            And: {
              Prefix: 'Übersicht/税/',
              Tags: [
                { Key: 'class', Value: 'gold' },
                { Key: 'stage', Value: 'final cut' },
              ],
            },
          },
        },
      }),
    ),
    replicate(
      pair(MEDIA, 'med-live', ['us-east-1', 'us-west-2'], {
        rule: { DeleteMarkerReplication: { Status: 'Enabled' } },
        destinationSettings: {
          ReplicationTime: { Status: 'Enabled', Time: { Minutes: 15 } },
          Metrics: { Status: 'Enabled', EventThreshold: { Minutes: 15 } },
        },
      }),
    ),
    (async () => {
      // Two-way: replicas of one side must not be replicated back, and changes of their metadata must.
      const east = { account: MEDIA, region: 'us-east-1', bucket: 'med-east' };
      const west = { account: MEDIA, region: 'us-west-2', bucket: 'med-west' };
      const isTwoWay = { encryption: 'SSE-S3', replicaModifications: true } as const;
      await replicate({ source: east, destination: west, ...isTwoWay });
      await replicate({ source: west, destination: east, ...isTwoWay });
    })(),
    replicate(
      pair(BACKUP, 'bak-vault', ['eu-central-1', 'us-east-1'], { tags: { ManagedBy: 'platform-team' } }),
    ),
  ];
}

/** Creates the pairs of PLANTED_FAULTS. */
function faultyPairs(
  { createBucket, putRolePolicy, replicate }: FleetBuilder,
  { s3, kms, created }: Clients,
  waitForReplication: () => Promise<void>,
): Promise<unknown>[] {
  const pair = (account: string, bucket: string, sourceRegion = 'us-east-1', region = 'us-west-2') => ({
    source: { account, region: sourceRegion, bucket },
    destination: { account, region, bucket: `${bucket}-replica` },
  });
  return [
    (async () => {
      const payroll = pair(FINANCE, 'fin-payroll');
      const { role, policy } = await replicate({ ...payroll, rolePolicy: (all) => without(all, 'Source') });
      const { bucket, region } = payroll.source;
      await s3(FINANCE, region).send(
        new PutObjectCommand({ Bucket: bucket, Key: '2026/11.csv', Body: 'salary' }),
      );
      await waitForReplication();
      await putRolePolicy(FINANCE, role, policy);
    })(),
    replicate({ ...pair(FINANCE, 'fin-claims'), rolePolicy: (all) => without(all, 'SourceKey') }),
    (async () => {
      const ledger = pair(FINANCE, 'fin-ledger', 'eu-west-1', 'eu-central-1');
      const { destinationKey } = await replicate(ledger);
      // Without the statement for the account, its IAM policies allow nothing (KMS Developer Guide, "Default key policy").
      const statement = {
        Sid: 'AdministratorsOnly',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${FINANCE}:root` },
        Action: ['kms:Describe*', 'kms:Get*', 'kms:List*', 'kms:Put*', 'kms:Enable*', 'kms:Disable*'],
        Resource: '*',
      };
      await kms(FINANCE, ledger.destination.region).send(
        new PutKeyPolicyCommand({ KeyId: destinationKey, Policy: policyDocument([statement as Statement]) }),
      );
    })(),
    (async () => {
      const { destinationKey } = await replicate(pair(MEDIA, 'med-scans', 'us-west-2', 'us-east-1'));
      await kms(MEDIA, 'us-east-1').send(new DisableKeyCommand({ KeyId: destinationKey }));
    })(),
    (async () => {
      const masters = pair(MEDIA, 'med-masters');
      await replicate({ ...masters, encryption: 'SSE-S3' });
      // S3 allows this on a destination, and refuses it on a source.
      await s3(MEDIA, 'us-west-2').send(
        new PutBucketVersioningCommand({
          Bucket: masters.destination.bucket,
          VersioningConfiguration: { Status: 'Suspended' },
        }),
      );
    })(),
    replicate({
      source: { account: FINANCE, region: 'us-east-1', bucket: 'fin-audit' },
      destination: { account: BACKUP, region: 'us-west-2', bucket: 'bak-fin-audit' },
      encryption: 'SSE-S3',
      bucketPolicy: () => [],
    }),
    (async () => {
      const { destination, source } = pair(MEDIA, 'med-exports');
      await replicate({ source, destination, encryption: 'SSE-S3' });
      await s3(MEDIA, destination.region).send(new DeleteBucketCommand({ Bucket: destination.bucket }));
      created.delete(destination.bucket);
    })(),
    (async () => {
      const destination = { account: BACKUP, region: 'us-west-2', bucket: 'bak-fin-contracts' };
      const { roleArn } = await replicate({
        source: { account: FINANCE, region: 'us-east-1', bucket: 'fin-contracts' },
        destination,
        encryption: 'SSE-S3',
      });
      await s3(BACKUP, destination.region).send(new DeleteBucketCommand({ Bucket: destination.bucket }));
      created.delete(destination.bucket);
      await createBucket({ ...destination, account: OUTSIDER });
      created.delete(destination.bucket);
      // The other account accepts the replicas.
      await s3(OUTSIDER, destination.region).send(
        new PutBucketPolicyCommand({
          Bucket: destination.bucket,
          Policy: policyDocument(bucketPolicyOf(destination, roleArn)),
        }),
      );
    })(),
    (async () => {
      await replicate({
        source: { account: MEDIA, region: 'us-east-1', bucket: 'med-partner' },
        destination: { account: OUTSIDER, region: 'us-west-2', bucket: 'partner-incoming' },
        encryption: 'SSE-S3',
      });
      created.delete('partner-incoming');
    })(),
    (async () => {
      const sealed = pair(BACKUP, 'bak-sealed');
      await replicate({ ...sealed, encryption: 'SSE-S3' });
      const statement = {
        Sid: 'DenyConfiguration',
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:GetReplicationConfiguration',
        Resource: `arn:aws:s3:::${sealed.source.bucket}`,
        Condition: { ArnNotLike: { 'aws:PrincipalArn': `arn:aws:iam::${BACKUP}:role/replication-*` } },
      };
      await s3(BACKUP, sealed.source.region).send(
        new PutBucketPolicyCommand({
          Bucket: sealed.source.bucket,
          Policy: policyDocument([statement as unknown as Statement]),
        }),
      );
    })(),
    replicate({ ...pair(BACKUP, 'bak-handmade', 'eu-central-1', 'eu-west-1'), tags: {} }),
    replicate({
      ...pair(BACKUP, 'bak-legacy'),
      encryption: 'SSE-S3',
      isV1: true,
      hasMetrics: false,
      alarm: 'none',
    }),
    replicate({ ...pair(MEDIA, 'med-silent', 'us-west-2'), hasMetrics: false, alarm: 'none' }),
    replicate({ ...pair(MEDIA, 'med-unwatched', 'us-west-2', 'eu-west-1'), alarm: 'none' }),
  ];
}
interface ReplicateOptions {
  source: BucketLocation;
  destination: BucketLocation;
  /** Default: SSE-KMS, with a key for each side. */
  encryption?: 'SSE-KMS' | 'SSE-S3';
  /** Default encryption key of the source as the user spells it. */
  defaultKey?: string;
  rule?: Partial<ReplicationRule>;
  destinationSettings?: Partial<ReplicationRule['Destination']>;
  hasMetrics?: boolean;
  /** `rule`: an alarm on the metric of the rule (default); `query`: one on those of all rules in the Region. */
  alarm?: 'rule' | 'query' | 'none';
  isV1?: boolean;
  replicaModifications?: boolean;
  /** Default: those that Terraform sets by convention. */
  tags?: Record<string, string>;
  rolePolicy?: (statements: Statement[]) => Statement[];
  bucketPolicy?: (statements: Statement[]) => Statement[];
}

type Clients = ReturnType<typeof createClients>;
type FleetBuilder = ReturnType<typeof fleetBuilder>;

function createClients(endpoint: string) {
  const clients = new Map<string, { destroy(): void }>();
  const clientFor =
    <C extends { destroy(): void }>(
      Client: new (config: {
        endpoint: string;
        region: string;
        credentials: { accessKeyId: string; secretAccessKey: string };
        forcePathStyle: boolean;
      }) => C,
    ) =>
    (account: string, region: string): C => {
      const id = `${Client.name} ${account} ${region}`;
      const client =
        clients.get(id) ??
        new Client({
          endpoint,
          region,
          // The sandbox takes an account's id as the access key of its root user.
          credentials: { accessKeyId: account, secretAccessKey: TEST_SECRET },
          forcePathStyle: true,
        });
      clients.set(id, client);
      return client as C;
    };
  return {
    s3: clientFor(S3Client),
    kms: clientFor(KMSClient),
    iam: clientFor(IAMClient),
    sns: clientFor(SNSClient),
    cloudwatch: clientFor(CloudWatchClient),
    /** Names of the buckets of the fleet. */
    created: new Set<string>(),
    destroy() {
      for (const client of clients.values()) client.destroy();
    },
  };
}

const policyDocument = (statements: readonly Statement[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });

const without = (statements: readonly Statement[], sid: string): Statement[] =>
  statements.filter(({ Sid }) => Sid !== sid);

/** Returns the permissions that the documentation names for a survey. */
async function documentedPermissions(): Promise<Statement[]> {
  const page = await readFile(
    path.join(import.meta.dirname, '../../docs/how-to/survey-all-accounts.md'),
    'utf8',
  );
  const [, policy = ''] = /^## Permissions\n[\s\S]*?```json\n([\s\S]*?)```/m.exec(page) ?? [];
  return (JSON.parse(policy) as { Statement: Statement[] }).Statement;
}

/** A query of Metrics Insights (CloudWatch User Guide, "Create an alarm on a Metrics Insights query"). */
const FAILED_OPERATIONS_QUERY =
  'SELECT SUM(OperationsFailedReplication) FROM SCHEMA("AWS/S3", SourceBucket, DestinationBucket, RuleId) GROUP BY SourceBucket, DestinationBucket, RuleId';

function fleetBuilder({ s3, kms, iam, cloudwatch, created }: Clients) {
  async function createBucket(
    { account, region, bucket: Bucket }: BucketLocation,
    tags: Record<string, string> = {},
  ): Promise<void> {
    if (created.has(Bucket)) return;
    created.add(Bucket);
    const client = s3(account, region);
    await client.send(
      new CreateBucketCommand({
        Bucket,
        ...(region === 'us-east-1'
          ? {}
          : {
              CreateBucketConfiguration: {
                LocationConstraint: region,
              } as CreateBucketCommandInput['CreateBucketConfiguration'],
            }),
      }),
    );
    await client.send(
      new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
    const TagSet = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    if (TagSet.length > 0) await client.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
  }

  async function createKey({ account, region, bucket }: BucketLocation): Promise<string> {
    const { KeyMetadata } = await kms(account, region).send(new CreateKeyCommand({}));
    const arn = KeyMetadata?.Arn ?? '';
    await kms(account, region).send(
      new CreateAliasCommand({ AliasName: `alias/${bucket}`, TargetKeyId: arn }),
    );
    return arn;
  }

  async function createRole(account: string, name: string, principal: object): Promise<string> {
    const trust = { Effect: 'Allow', Principal: principal, Action: 'sts:AssumeRole' } as Statement;
    const { Role } = await iam(account, 'us-east-1').send(
      new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument: policyDocument([trust]) }),
    );
    return Role?.Arn ?? '';
  }

  const putRolePolicy = (account: string, RoleName: string, statements: readonly Statement[]) =>
    iam(account, 'us-east-1').send(
      new PutRolePolicyCommand({
        RoleName,
        PolicyName: 'policy',
        PolicyDocument: policyDocument(statements),
      }),
    );

  /** Creates both buckets, their keys, the role with its policies, the configuration and an alarm. */
  async function replicate(options: ReplicateOptions) {
    const { source, destination, encryption = 'SSE-KMS', hasMetrics = true, alarm = 'rule' } = options;
    const { tags = { terraform: 'true' }, rolePolicy = (all) => all, bucketPolicy = (all) => all } = options;
    const isAcross = source.account !== destination.account;
    await createBucket(source, tags);
    await createBucket(destination, tags);
    const keys =
      encryption === 'SSE-KMS'
        ? { source: await createKey(source), destination: await createKey(destination) }
        : undefined;
    if (keys) {
      await setDefaultKey(source, options.defaultKey ?? keys.source);
      await setDefaultKey(destination, keys.destination);
    }
    const role = `replication-${source.bucket}`;
    const Role = await createRole(source.account, role, { Service: 's3.amazonaws.com' });
    const policy = rolePolicyOf(options, keys);
    const initialPolicy = rolePolicy(policy);
    if (initialPolicy.length > 0) await putRolePolicy(source.account, role, initialPolicy);
    if (isAcross) {
      const statements = bucketPolicy(bucketPolicyOf(destination, Role));
      if (statements.length > 0)
        await s3(destination.account, destination.region).send(
          new PutBucketPolicyCommand({ Bucket: destination.bucket, Policy: policyDocument(statements) }),
        );
      if (keys) await allowRoleInKeyPolicy(destination, keys.destination, Role);
    }
    const rule = ruleOf(options, keys?.destination, hasMetrics);
    await s3(source.account, source.region).send(
      new PutBucketReplicationCommand({
        Bucket: source.bucket,
        ReplicationConfiguration: { Role, Rules: [rule] },
      }),
    );
    if (alarm !== 'none') await putAlarm(source, destination, alarm === 'query' ? undefined : rule.ID);
    return { role, roleArn: Role, policy, destinationKey: keys?.destination ?? '' };
  }

  const setDefaultKey = ({ account, region, bucket }: BucketLocation, KMSMasterKeyID: string) =>
    s3(account, region).send(
      new PutBucketEncryptionCommand({
        Bucket: bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [
            {
              ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID },
              BucketKeyEnabled: true,
            },
          ],
        },
      }),
    );

  /** Keeps the statement for the account of the key, and adds one for the role of the other account. */
  const allowRoleInKeyPolicy = ({ account, region }: BucketLocation, KeyId: string, role: string) =>
    kms(account, region).send(
      new PutKeyPolicyCommand({
        KeyId,
        Policy: policyDocument([
          {
            Sid: 'EnableIamPolicies',
            Effect: 'Allow',
            Principal: { AWS: `arn:aws:iam::${account}:root` },
            Action: 'kms:*',
            Resource: '*',
          },
          {
            Sid: 'AllowReplicationRole',
            Effect: 'Allow',
            Principal: { AWS: role },
            Action: ['kms:Encrypt', 'kms:GenerateDataKey', 'kms:Decrypt'],
            Resource: '*',
          },
        ]),
      }),
    );

  const putAlarm = (source: BucketLocation, destination: BucketLocation, rule: string | undefined) =>
    cloudwatch(source.account, source.region).send(
      new PutMetricAlarmCommand({
        AlarmName: rule === undefined ? 'any replication fails' : `replication of ${source.bucket} fails`,
        ...(rule === undefined
          ? {
              Metrics: [{ Id: 'failed', Expression: FAILED_OPERATIONS_QUERY, Period: 300, ReturnData: true }],
            }
          : {
              Namespace: 'AWS/S3',
              MetricName: 'OperationsFailedReplication',
              Dimensions: [
                { Name: 'SourceBucket', Value: source.bucket },
                { Name: 'DestinationBucket', Value: destination.bucket },
                { Name: 'RuleId', Value: rule },
              ],
              Statistic: 'Sum' as const,
              Period: 300,
            }),
        EvaluationPeriods: 1,
        Threshold: 0,
        ComparisonOperator: 'GreaterThanThreshold',
        AlarmActions: [`arn:aws:sns:${source.region}:${source.account}:oncall`],
      }),
    );

  return { createBucket, createKey, createRole, putRolePolicy, replicate };
}

function ruleOf(
  options: ReplicateOptions,
  replicaKey: string | undefined,
  hasMetrics: boolean,
): ReplicationRule {
  const { source, destination, isV1 = false, replicaModifications = false } = options;
  const isAcross = source.account !== destination.account;
  const criteria = {
    ...(replicaKey === undefined ? {} : { SseKmsEncryptedObjects: { Status: 'Enabled' as const } }),
    ...(replicaModifications ? { ReplicaModifications: { Status: 'Enabled' as const } } : {}),
  };
  return {
    ID: `copy ${source.bucket}`,
    Status: 'Enabled',
    ...(isV1
      ? { Prefix: '' }
      : { Priority: 1, Filter: { Prefix: '' }, DeleteMarkerReplication: { Status: 'Disabled' } }),
    ...(Object.keys(criteria).length > 0 ? { SourceSelectionCriteria: criteria } : {}),
    Destination: {
      Bucket: `arn:aws:s3:::${destination.bucket}`,
      ...(isAcross
        ? { Account: destination.account, AccessControlTranslation: { Owner: 'Destination' } }
        : {}),
      ...(replicaKey === undefined ? {} : { EncryptionConfiguration: { ReplicaKmsKeyID: replicaKey } }),
      ...(hasMetrics ? { Metrics: { Status: 'Enabled' } } : {}),
      ...options.destinationSettings,
    },
    ...options.rule,
  };
}

/** The policy of the role, as in the S3 User Guide, for objects with and without a Bucket Key. */
function rolePolicyOf(
  { source, destination }: ReplicateOptions,
  keys: { source: string; destination: string } | undefined,
): Statement[] {
  const arn = ({ bucket }: BucketLocation) => `arn:aws:s3:::${bucket}`;
  const keyStatement = (
    Sid: string,
    Action: string[],
    Resource: string,
    location: BucketLocation,
  ): Statement => ({
    Sid,
    Effect: 'Allow',
    Action,
    Resource,
    Condition: {
      StringEquals: { 'kms:ViaService': `s3.${location.region}.amazonaws.com` },
      StringLike: { 'kms:EncryptionContext:aws:s3:arn': [arn(location), `${arn(location)}/*`] },
    },
  });
  return [
    {
      Sid: 'Configuration',
      Effect: 'Allow',
      Action: ['s3:GetReplicationConfiguration', 's3:ListBucket'],
      Resource: arn(source),
    },
    {
      Sid: 'Source',
      Effect: 'Allow',
      Action: ['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
      Resource: `${arn(source)}/*`,
    },
    {
      Sid: 'Destination',
      Effect: 'Allow',
      Action: [
        's3:ReplicateObject',
        's3:ReplicateDelete',
        's3:ReplicateTags',
        's3:ObjectOwnerOverrideToBucketOwner',
      ],
      Resource: `${arn(destination)}/*`,
    },
    ...(keys
      ? [
          keyStatement('SourceKey', ['kms:Decrypt'], keys.source, source),
          keyStatement(
            'DestinationKey',
            ['kms:Encrypt', 'kms:GenerateDataKey', 'kms:Decrypt'],
            keys.destination,
            destination,
          ),
        ]
      : []),
  ];
}

const bucketPolicyOf = ({ bucket }: BucketLocation, role: string): Statement[] => [
  {
    Sid: 'AllowReplication',
    Effect: 'Allow',
    Principal: { AWS: role },
    Action: [
      's3:ReplicateObject',
      's3:ReplicateDelete',
      's3:ReplicateTags',
      's3:ObjectOwnerOverrideToBucketOwner',
    ],
    Resource: `arn:aws:s3:::${bucket}/*`,
  },
];
