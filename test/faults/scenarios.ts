import type { Store } from '../../src/sandbox/store.ts';

/** A part of what a pair goes through: what stands before it, what is declared then, and whether what is not goes. */
export interface Scenario {
  name: string;
  /** What others do to the sandbox before, beside what the lives before have left. */
  before(store: Store): void;
  yaml: string;
  prune: boolean;
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

/** The same pair, changed: keys that rotate, another storage class, one more rule. */
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

/** A second pair that shares the replica's bucket and both keys, and has a role of its own. */
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

export const CREATION: Scenario = { name: 'creation', before: addForeignResources, yaml: TAX, prune: false };
export const CHANGE: Scenario = {
  name: 'change',
  before: addForeignChanges,
  yaml: TAX_CHANGED + PAYROLL,
  prune: false,
};
export const REMOVAL: Scenario = { name: 'removal', before: () => {}, yaml: TAX_CHANGED, prune: true };

/** In the order in which they follow each other. */
export const SCENARIOS: readonly Scenario[] = [CREATION, CHANGE, REMOVAL];

/** What stands beside, and is nobody's business. */
function addForeignResources(store: Store): void {
  store.addBucket({
    name: 'theirs',
    owner: ACCOUNT,
    region: 'us-east-1',
    created: Date.now(),
    versioning: { Status: 'Enabled' },
    tags: [{ Key: 'team', Value: 'theirs' }],
    objectLock: false,
    objects: new Map(),
    uploads: new Map(),
  });
  const account = store.account(ACCOUNT);
  account.roles.set('theirs', {
    name: 'theirs',
    path: '/',
    id: 'AROATHEIRS',
    arn: `arn:aws:iam::${ACCOUNT}:role/theirs`,
    trust: JSON.stringify({ Version: '2012-10-17', Statement: [] }),
    created: Date.now(),
    maxSessionDuration: 3600,
    tags: new Map(),
    inline: new Map([['theirs', JSON.stringify({ Version: '2012-10-17', Statement: [] })]]),
    attached: [],
    visibleFrom: 0,
  });
}

/** Others put their rules, statements, policies and tags beside ours, and undo some of what is declared. */
function addForeignChanges(store: Store): void {
  const account = store.account(ACCOUNT);
  const source = store.bucket('acme-tax');
  const replica = store.bucket('acme-tax-replica');
  const role = account.roles.get('replikey-acme-tax');
  if (!source?.replication || !replica || !role) throw new Error('nothing was created');
  source.replication.Rules?.push({
    ID: 'theirs',
    Priority: 77,
    Status: 'Enabled',
    Filter: { Prefix: 'Theirs/' },
    DeleteMarkerReplication: { Status: 'Disabled' },
    Destination: { Bucket: 'arn:aws:s3:::theirs' },
  });
  source.tags = [...(source.tags ?? []), { Key: 'team', Value: 'theirs' }];
  source.policy = foreignPolicy('arn:aws:s3:::acme-tax/*', 's3:GetObject');
  role.inline.set('theirs', foreignPolicy('*', 's3:ListAllMyBuckets'));
  role.tags.set('cost-center', 'theirs');
  for (const key of account.keys.values()) {
    const policy = JSON.parse(key.policy) as { Statement: object[] };
    policy.Statement.push(foreignStatement('*', 'kms:DescribeKey'));
    key.policy = JSON.stringify(policy);
  }
  replica.versioning = { Status: 'Suspended' };
}

export const foreignStatement = (resource: string, action: string) => ({
  Sid: 'Theirs',
  Effect: 'Allow',
  Principal: { AWS: `AROATHEIRS|arn:aws:iam::${ACCOUNT}:role/theirs` },
  Action: action,
  Resource: resource,
});

const foreignPolicy = (resource: string, action: string): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: [foreignStatement(resource, action)] });
