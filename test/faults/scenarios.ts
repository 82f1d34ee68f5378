import type { PassOptions } from '../../src/reconcile/pass.ts';
import type { Store } from '../../src/sandbox/store.ts';
import { FOREIGN_PAIR, FOREIGN_ROLE, makeForeign } from '../transitions/foreign.ts';

/** A stage of a pair: changes before it, its specs, and its options. */
export interface Scenario {
  name: string;
  /** The scenarios that run first, in order. */
  after: readonly Scenario[];
  /** Adds foreign changes to the state that the earlier scenarios left. */
  before(store: Store): void;
  yaml: string;
  /** Options of the pass, and the same options of the command line. */
  pass: Partial<PassOptions>;
  args: readonly string[];
}

const ACCOUNT = '111122223333';

const TAX = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source: { bucket: acme-tax, region: us-east-1, key: alias/acme-tax }
  destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }
  rules:
    - prefix: Tax/
`;

/** The pair with key rotation, another storage class and another rule. */
const TAX_CHANGED = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: tax }
spec:
  source:
    bucket: acme-tax
    region: us-east-1
    key: { alias: alias/acme-tax, rotation: true }
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    key: { alias: alias/acme-tax-replica, description: Replicas of tax }
    storageClass: STANDARD_IA
  role: { tags: { team: finance } }
  rules:
    - prefix: Tax/
    - name: ledgers
      prefix: Ledgers/
`;

/** A second pair that shares the destination and both keys, with its own role. */
const PAYROLL = `---
apiVersion: replikey.dev/v1
kind: BucketReplication
metadata: { name: payroll }
spec:
  source: { bucket: acme-payroll, region: us-east-1, key: { alias: alias/acme-tax, rotation: true } }
  destination:
    bucket: acme-tax-replica
    region: us-west-2
    key: { alias: alias/acme-tax-replica, description: Replicas of tax }
  rules:
    - prefix: Payroll/
  policy: { deletion: Remove }
`;

export const CREATION: Scenario = {
  name: 'creation',
  after: [],
  before: addForeignResources,
  yaml: TAX,
  pass: {},
  args: [],
};
export const CHANGE: Scenario = {
  name: 'change',
  after: [CREATION],
  before: addForeignChanges,
  yaml: TAX_CHANGED + PAYROLL,
  pass: {},
  args: [],
};
/** Adds a rule to a bucket with a foreign rule and a foreign role. */
export const ADOPTION: Scenario = {
  name: 'adoption',
  after: [{ ...CREATION, before: () => {}, yaml: FOREIGN_PAIR }],
  before: makeForeignWithOwnPermissions,
  yaml: `${TAX}  role: { name: ${FOREIGN_ROLE} }\n`,
  pass: {},
  args: [],
};
/** Disables rules, and retains their permissions for objects in flight. */
export const REMOVAL: Scenario = {
  name: 'removal',
  after: [CREATION, CHANGE],
  before: () => {},
  yaml: TAX_CHANGED,
  pass: { prune: true, allowedRisks: ['remove-pair'] },
  args: ['--prune', '--account', '111122223333', '--allow', 'remove-pair'],
};
export const REMOVAL_WITHOUT_DRAIN: Scenario = {
  ...REMOVAL,
  name: 'removal without a drain',
  pass: { prune: true, drainMs: 0, allowedRisks: ['lose-in-flight', 'remove-pair'] },
  args: [
    '--prune',
    '--account',
    '111122223333',
    '--drain',
    '0s',
    '--allow',
    'lose-in-flight',
    '--allow',
    'remove-pair',
  ],
};

export const SCENARIOS: readonly Scenario[] = [CREATION, ADOPTION, CHANGE, REMOVAL, REMOVAL_WITHOUT_DRAIN];

/** Adds foreign resources. */
function addForeignResources(store: Store): void {
  store.addBucket({
    name: 'foreign',
    owner: ACCOUNT,
    region: 'us-east-1',
    created: Date.now(),
    versioning: { Status: 'Enabled' },
    tags: [{ Key: 'team', Value: 'foreign' }],
    objectLock: false,
    objects: new Map(),
    uploads: new Map(),
  });
  const account = store.account(ACCOUNT);
  account.roles.set('foreign', {
    name: 'foreign',
    path: '/',
    id: 'AROAFOREIGN',
    arn: `arn:aws:iam::${ACCOUNT}:role/foreign`,
    trust: JSON.stringify({ Version: '2012-10-17', Statement: [] }),
    created: Date.now(),
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map([['foreign', JSON.stringify({ Version: '2012-10-17', Statement: [] })]]),
    attached: [],
    visibleFrom: 0,
  });
}

/** Makes the rules and the role foreign. The role has permissions for the objects of its own rule alone. */
function makeForeignWithOwnPermissions(store: Store): void {
  makeForeign(store);
  store.account(ACCOUNT).roles.get(FOREIGN_ROLE)?.inline.set('foreign', FOREIGN_ROLE_PERMISSIONS);
}

/** Adds foreign rules, statements, policies and tags, and suspends versioning of the destination. */
function addForeignChanges(store: Store): void {
  const account = store.account(ACCOUNT);
  const source = store.bucket('acme-tax');
  const replica = store.bucket('acme-tax-replica');
  const role = account.roles.get('replikey-acme-tax');
  if (!source?.replication || !replica || !role) throw new Error('nothing was created');
  source.replication.Rules?.push({
    ID: 'foreign',
    Priority: 77,
    Status: 'Enabled',
    Filter: { Prefix: 'Foreign/' },
    DeleteMarkerReplication: { Status: 'Disabled' },
    Destination: { Bucket: 'arn:aws:s3:::foreign' },
  });
  source.tags = [...(source.tags ?? []), { Key: 'team', Value: 'foreign' }];
  source.policy = foreignPolicy('arn:aws:s3:::acme-tax/*', 's3:GetObject');
  role.inline.set('foreign', FOREIGN_RULE_PERMISSIONS);
  role.tags.set('cost-center', 'foreign');
  for (const key of account.keys.values()) {
    const policy = JSON.parse(key.policy) as { Statement: object[] };
    policy.Statement.push(foreignStatement('*', 'kms:DescribeKey'));
    key.policy = JSON.stringify(policy);
  }
  replica.versioning = { Status: 'Suspended' };
}

export const foreignStatement = (resource: string, action: string) => ({
  Sid: 'Foreign',
  Effect: 'Allow',
  Principal: { AWS: `AROAFOREIGN|arn:aws:iam::${ACCOUNT}:role/foreign` },
  Action: action,
  Resource: resource,
});

const policyText = (...statements: object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });

const ALLOW_OBJECTS = { Effect: 'Allow', Action: ['s3:GetObjectVersion*', 's3:Replicate*'] };

const FOREIGN_ROLE_PERMISSIONS = policyText(
  {
    Sid: 'Objects',
    ...ALLOW_OBJECTS,
    Resource: ['arn:aws:s3:::acme-tax/Foreign/*', 'arn:aws:s3:::acme-tax-replica/Foreign/*'],
  },
  {
    Sid: 'Source',
    Effect: 'Allow',
    Action: ['s3:ListBucket', 's3:GetReplicationConfiguration'],
    Resource: 'arn:aws:s3:::acme-tax',
  },
  {
    Sid: 'Keys',
    Effect: 'Allow',
    Action: ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey'],
    Resource: '*',
  },
);

/** Permissions of the role for the foreign rule. */
const FOREIGN_RULE_PERMISSIONS = policyText({
  Sid: 'Foreign',
  ...ALLOW_OBJECTS,
  Resource: ['arn:aws:s3:::acme-tax/Foreign/*', 'arn:aws:s3:::foreign/*'],
});

const foreignPolicy = (resource: string, action: string): string =>
  policyText(foreignStatement(resource, action));
