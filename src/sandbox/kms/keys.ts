import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { AwsError } from '../aws-error.ts';
import type { KeyState } from '../state.ts';
import type { Store } from '../store.ts';

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
  const keyRegion = arn?.[1] ?? region;
  const keyAccount = arn?.[2] ?? account;
  const owner = store.account(keyAccount);
  const alias = arn
    ? arn[4] === undefined
      ? arn[3]
      : undefined
    : name.startsWith('alias/')
      ? name
      : undefined;
  if (alias !== undefined) {
    const target = owner.aliases.get(`${keyRegion}/${alias}`)?.targetKeyId;
    const key =
      target === undefined
        ? createS3ManagedKey(store, alias, keyAccount, keyRegion, now)
        : owner.keys.get(`${keyRegion}/${target}`);
    if (key && key.visibleFrom <= now) return key;
    throw kmsNotFoundError(`Alias arn:aws:kms:${keyRegion}:${keyAccount}:${alias} is not found.`);
  }
  const id = arn?.[4] ?? name;
  const key = keyRegion === region ? owner.keys.get(`${keyRegion}/${id}`) : undefined;
  if (key && key.visibleFrom <= now) return key;
  if (arn && keyRegion !== region) throw kmsNotFoundError(`Invalid arn ${keyRegion}`);
  if (!arn && !/^(mrk-[0-9a-f]{32}|[0-9a-f-]{36})$/.test(id)) throw kmsNotFoundError(`Invalid keyId '${id}'`);
  throw kmsNotFoundError(`Key '${buildKeyArn(keyAccount, keyRegion, id)}' does not exist`);
}

export const buildKeyArn = (account: string, region: string, id: string): string =>
  `arn:${region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'}:kms:${region}:${account}:key/${id}`;

export const kmsNotFoundError = (message: string): AwsError =>
  new AwsError(400, 'NotFoundException', message);

/** The key that AWS keeps for S3 in every account and Region, made when it is first used. */
function createS3ManagedKey(
  store: Store,
  alias: string,
  account: string,
  region: string,
  now: number,
): KeyState | undefined {
  if (alias !== 'alias/aws/s3') return undefined;
  const owner = store.account(account);
  const key = createKeyState({ account, region }, now, {
    description: 'Default key that protects my S3 objects when no other key is defined',
    manager: 'AWS',
    policy: s3ManagedKeyPolicy(account, region),
  });
  owner.keys.set(`${region}/${key.id}`, key);
  owner.aliases.set(`${region}/${alias}`, { name: alias, targetKeyId: key.id, created: now });
  store.markChanged(owner);
  return key;
}

export function createKeyState(
  { account, region }: Requester,
  now: number,
  fields: Partial<KeyState>,
): KeyState {
  const id = fields.multiRegion ? `mrk-${randomBytes(16).toString('hex')}` : randomUUID();
  return {
    id,
    arn: buildKeyArn(account, region, id),
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
    policy: defaultKeyPolicy(account),
    tags: new Map(),
    rotation: { enabled: false, periodInDays: 365 },
    material: randomBytes(32).toString('base64'),
    visibleFrom: now,
    ...fields,
  };
}

/** What KMS attaches to a key that is made without a policy, as it formats it. */
export function defaultKeyPolicy(account: string): string {
  return formatKeyPolicy({
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
export function formatKeyPolicy(value: unknown, indent = ''): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value))
    return value.length === 0
      ? '[ ]'
      : `[ ${value.map((item) => formatKeyPolicy(item, indent)).join(', ')} ]`;
  const innerIndent = `${indent}  `;
  const members = Object.entries(value).map(
    ([name, member]) => `${innerIndent}${JSON.stringify(name)} : ${formatKeyPolicy(member, innerIndent)}`,
  );
  return members.length === 0 ? '{ }' : `{\n${members.join(',\n')}\n${indent}}`;
}

/** The id of a key's current material: another one after each rotation. */
export const materialIdOf = ({ id, rotations = 0 }: KeyState): string =>
  createHash('sha256').update(`${id} ${rotations}`).digest('hex');

function s3ManagedKeyPolicy(account: string, region: string): string {
  return formatKeyPolicy({
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
