import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { AwsError } from './aws-error.ts';
import type { KeyState } from './state.ts';
import type { Store } from './store.ts';

/** Finding and making keys: shared by the KMS API and by what S3 asks of KMS. */

export interface Requester {
  account: string;
  region: string;
}

/**
 * The key of an id, ARN, alias name or alias ARN, as this account and Region see it.
 *
 * @throws AwsError NotFoundException, with KMS's own words for each way of naming a key.
 */
export function findKey(store: Store, name: string, { account, region }: Requester, now: number): KeyState {
  const arn = /^arn:[^:]+:kms:([^:]*):(\d{12}):(key\/(.+)|alias\/.+)$/.exec(name);
  const inRegion = arn?.[1] ?? region;
  const inAccount = arn?.[2] ?? account;
  const owner = store.account(inAccount);
  const alias = arn
    ? arn[4] === undefined
      ? arn[3]
      : undefined
    : name.startsWith('alias/')
      ? name
      : undefined;
  if (alias !== undefined) {
    const target = owner.aliases.get(`${inRegion}/${alias}`)?.targetKeyId;
    const key =
      target === undefined
        ? managedKey(store, alias, inAccount, inRegion, now)
        : owner.keys.get(`${inRegion}/${target}`);
    if (key && key.visibleFrom <= now) return key;
    throw notFound(`Alias arn:aws:kms:${inRegion}:${inAccount}:${alias} is not found.`);
  }
  const id = arn?.[4] ?? name;
  const key = inRegion === region ? owner.keys.get(`${inRegion}/${id}`) : undefined;
  if (key && key.visibleFrom <= now) return key;
  if (arn && inRegion !== region) throw notFound(`Invalid arn ${inRegion}`);
  if (!arn && !/^(mrk-[0-9a-f]{32}|[0-9a-f-]{36})$/.test(id)) throw notFound(`Invalid keyId '${id}'`);
  throw notFound(`Key '${keyArn(inAccount, inRegion, id)}' does not exist`);
}

export const keyArn = (account: string, region: string, id: string): string =>
  `arn:${region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'}:kms:${region}:${account}:key/${id}`;

export const notFound = (message: string): AwsError => new AwsError(400, 'NotFoundException', message);

/** The key that AWS keeps for S3 in every account and Region, made when it is first used. */
function managedKey(
  store: Store,
  alias: string,
  account: string,
  region: string,
  now: number,
): KeyState | undefined {
  if (alias !== 'alias/aws/s3') return undefined;
  const owner = store.account(account);
  const key = newKey({ account, region }, now, {
    description: 'Default key that protects my S3 objects when no other key is defined',
    manager: 'AWS',
    policy: managedPolicy(account, region),
  });
  owner.keys.set(`${region}/${key.id}`, key);
  owner.aliases.set(`${region}/${alias}`, { name: alias, targetKeyId: key.id, created: now });
  store.changed(owner);
  return key;
}

export function newKey({ account, region }: Requester, now: number, given: Partial<KeyState>): KeyState {
  const id = given.multiRegion ? `mrk-${randomBytes(16).toString('hex')}` : randomUUID();
  return {
    id,
    arn: keyArn(account, region, id),
    account,
    region,
    description: '',
    state: 'Enabled',
    usage: 'ENCRYPT_DECRYPT',
    spec: 'SYMMETRIC_DEFAULT',
    origin: 'AWS_KMS',
    multiRegion: false,
    manager: 'CUSTOMER',
    created: now,
    policy: defaultPolicy(account),
    tags: new Map(),
    rotation: { enabled: false, periodInDays: 365 },
    material: randomBytes(32).toString('base64'),
    visibleFrom: now,
    ...given,
  };
}

/** What KMS attaches to a key that is made without a policy, as it formats it. */
export function defaultPolicy(account: string): string {
  return formatPolicy({
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${account}:root` },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  });
}

/**
 * KMS reformats the policies that it is given: two spaces deep, a blank before each colon, lists on the line of their
 * brackets. fact: c7n/test_kms_remove_named/kms.GetKeyPolicy_1
 */
export function formatPolicy(value: unknown, indent = ''): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value))
    return value.length === 0 ? '[ ]' : `[ ${value.map((item) => formatPolicy(item, indent)).join(', ')} ]`;
  const inner = `${indent}  `;
  const members = Object.entries(value).map(
    ([name, member]) => `${inner}${JSON.stringify(name)} : ${formatPolicy(member, inner)}`,
  );
  return members.length === 0 ? '{ }' : `{\n${members.join(',\n')}\n${indent}}`;
}

/** The id of a key's current material: another one after each rotation. */
export const materialId = ({ id, rotations = 0 }: KeyState): string =>
  createHash('sha256').update(`${id} ${rotations}`).digest('hex');

function managedPolicy(account: string, region: string): string {
  return formatPolicy({
    Version: '2012-10-17',
    Id: 'auto-s3-2',
    Statement: [
      {
        Sid: 'Allow access through S3 for all principals in the account that are authorized to use S3',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
        Resource: '*',
        Condition: {
          StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': `s3.${region}.amazonaws.com` },
        },
      },
      {
        Sid: 'Allow direct access to key metadata to the account',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${account}:root` },
        Action: ['kms:Describe*', 'kms:Get*', 'kms:List*'],
        Resource: '*',
      },
    ],
  });
}
