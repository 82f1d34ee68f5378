import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
  type ListRolePoliciesCommandOutput,
} from '@aws-sdk/client-iam';
import { ListGrantsCommand } from '@aws-sdk/client-kms';
import { formatAwsError } from '../aws/errors.ts';
import { type PageCursor, paginate } from '../aws/paginate.ts';
import { type BucketFacts, type Fact, isUnread, type KeyFacts, type RoleFacts } from '../core/facts.ts';
import type { Kind } from '../core/kind.ts';
import type { Aws, Location } from '../core/resource.ts';
import { UserError } from '../errors.ts';
import type { Grant } from '../iam/grants.ts';
import type { Policy } from '../iam/types.ts';
import { iamRole } from '../kinds/iam-role.ts';
import { fetchInlinePolicy } from '../kinds/iam-role-policy.ts';
import { describeKey, nextKmsPage } from '../kinds/kms-key.ts';
import { fetchKeyPolicy } from '../kinds/kms-key-policy.ts';
import { EMPTY_POLICY, parsePolicyDocument } from '../kinds/policy-document.ts';
import { fetchBucketRegion } from '../kinds/s3-bucket.ts';
import { s3BucketPolicy } from '../kinds/s3-bucket-policy.ts';
import { s3Encryption } from '../kinds/s3-encryption.ts';
import { s3ObjectLock } from '../kinds/s3-object-lock.ts';
import { s3Ownership } from '../kinds/s3-ownership.ts';
import { s3PublicAccess } from '../kinds/s3-public-access.ts';
import { s3Replication } from '../kinds/s3-replication.ts';
import { s3Versioning } from '../kinds/s3-versioning.ts';
import { bucketArn, nameInArn } from '../util/arn.ts';
import { omitUndefined } from '../util/canonical-json.ts';
import { type Locations, locationOfArn } from './locations.ts';

/** Returns the value; null if it does not exist in AWS; the reason if it cannot be read. */
export async function readFact<T>(
  response: Promise<T | undefined>,
  ...absentErrors: string[]
): Promise<Fact<T>> {
  try {
    return (await response) ?? null;
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof Error && absentErrors.includes(error.name)) return null;
    return { unread: formatAwsError(error) };
  }
}

/**
 * Facts of a bucket to read; `either`: those that can stop replication on both sides; `foreign …`: those that can stop
 * rules that no spec declares; `report`: those that can stop the report of a job.
 */
export type BucketFactScope =
  | 'source'
  | 'destination'
  | 'either'
  | 'locks'
  | 'report'
  | 'foreign source'
  | 'foreign destination';

/** Reads a bucket by its name, in the location that the specs declare or in the Region that S3 reports. */
export async function readBucketFacts(
  aws: Aws,
  name: string,
  scope: BucketFactScope,
  locations: Locations,
): Promise<Fact<BucketFacts>> {
  if (locations.unmanagedBuckets.has(name)) return { unread: 'no credentials for its account' };
  const declared = locations.buckets.get(name);
  const region =
    declared?.region ??
    (await readFact(
      fetchBucketRegion(aws, name, locations.region, locations.sharedWith?.get(name)?.account),
      'NotFound',
    ));
  if (region === null || isUnread(region)) return region;
  const location: Location = { ...(declared ?? locations.sharedWith?.get(name)), region };
  const account = await readFact(aws.accountId(location.account));
  if (account === null || isUnread(account)) return account;
  const toEntry = async ({ field, read }: BucketFactReader) =>
    [field, await readFact(read(aws, location, name, account))] as const;
  // Concurrently: every read of a bucket that does not exist says so.
  const facts = await Promise.all([versioningReader, ...READERS_BY_SCOPE[scope]].map(toEntry));
  const [[, versioning = null] = []] = facts;
  // The error of a bucket of another account does not name its owner.
  if (versioning === null || isUnread(versioning)) return versioning;
  return { region, account, ...(Object.fromEntries(facts) as Partial<BucketFacts>) };
}

interface BucketFactReader {
  field: keyof BucketFacts;
  /** Undefined if S3 has no such document. */
  read(aws: Aws, location: Location, bucket: string, accountId: string): Promise<unknown>;
}

/** Reads a fact through the kind of its document. */
const documentReader = <S, D, F>(kind: Kind<S, D, F>, field: keyof BucketFacts): BucketFactReader => ({
  field,
  async read(aws, location, bucket, accountId) {
    const doc = await kind.fetch(aws, location, bucket);
    const context = { current: EXISTING, arn: bucketArn(bucket, location.region), accountId };
    return doc && kind.scope.facts?.(doc, context)?.[field];
  },
});

/** The facts of a bucket's document depend on whether it exists, not on which entries replikey manages. */
const EXISTING = { spec: undefined, attrs: {} };

const versioningReader = documentReader(s3Versioning, 'versioning');
const objectLockReader = documentReader(s3ObjectLock, 'objectLock');
const COMMON_READERS = [documentReader(s3Encryption, 'encryption'), documentReader(s3BucketPolicy, 'policy')];
const READERS_BY_SCOPE: Record<BucketFactScope, BucketFactReader[]> = {
  either: COMMON_READERS,
  source: [
    ...COMMON_READERS,
    objectLockReader,
    documentReader(s3Replication, 'replication'),
    documentReader(s3Ownership, 'ownership'),
  ],
  destination: [
    ...COMMON_READERS,
    objectLockReader,
    // For rules that sync changes of replicas.
    documentReader(s3Replication, 'replication'),
    documentReader(s3PublicAccess, 'publicAccessBlock'),
  ],
  locks: [objectLockReader],
  report: [documentReader(s3BucketPolicy, 'policy'), objectLockReader],
  'foreign source': [...COMMON_READERS, objectLockReader, documentReader(s3Replication, 'replication')],
  'foreign destination': [...COMMON_READERS, objectLockReader],
};

/** Reads a key with its policy, by its ARN or by the ARN of an alias. */
export async function readKeyFacts(aws: Aws, keyArn: string, locations: Locations): Promise<Fact<KeyFacts>> {
  const location = locationOfArn(keyArn, locations, keyArn.split(':')[3] ?? locations.region);
  const readKeyPolicy = (arn: string) => readFact(fetchKeyPolicy(aws, location, arn));
  // GetKeyPolicy does not accept an alias, so DescribeKey must name the key first.
  const isAlias = keyArn.includes(':alias/');
  const policyPromise = isAlias ? undefined : readKeyPolicy(keyArn);
  const key = await readFact(describeKey(aws, location, keyArn));
  if (key === null || isUnread(key)) return key;
  const { Arn: arn = keyArn, KeyState, KeyUsage, KeySpec, KeyManager } = key;
  return omitUndefined({
    arn,
    state: KeyState,
    usage: KeyUsage,
    keySpec: KeySpec,
    manager: KeyManager,
    policy: await (policyPromise ?? readKeyPolicy(arn)),
  });
}

/** Reads the grants of a key, by its ARN. */
export function readKeyGrants(aws: Aws, keyArn: string, locations: Locations): Promise<Fact<Grant[]>> {
  const location = locationOfArn(keyArn, locations, keyArn.split(':')[3] ?? locations.region);
  return readFact(listGrants(aws, location, keyArn), 'NotFoundException');
}

async function listGrants(aws: Aws, location: Location, KeyId: string): Promise<Grant[]> {
  const grants: Grant[] = [];
  const pages = paginate(
    (Marker) => aws.send(location, new ListGrantsCommand(omitUndefined({ KeyId, Limit: 100, Marker }))),
    nextKmsPage,
  );
  for await (const page of pages)
    for (const { GrantId, GranteePrincipal, Operations, Constraints } of page.Grants ?? [])
      grants.push(omitUndefined({ GrantId, GranteePrincipal, Operations, Constraints }));
  return grants;
}

/** Reads a role by its ARN, with every policy that applies to it. */
export async function readRoleFacts(aws: Aws, arn: string, locations: Locations): Promise<Fact<RoleFacts>> {
  const role = await readRoleFactsByName(
    aws,
    nameInArn(arn),
    locationOfArn(arn, locations, locations.region),
  );
  if (role === null || isUnread(role)) return role;
  // A role of that name may belong to another account, or have another path.
  return role.arn === arn ? role.facts : null;
}

/** Reads a role by its name in an account; all but the boundary concurrently. */
export async function readRoleFactsByName(
  aws: Aws,
  name: string,
  location: Location,
): Promise<Fact<{ arn: string; facts: RoleFacts }>> {
  const readIamFact = <T>(response: Promise<T | undefined>) => readFact(response, 'NoSuchEntityException');
  const [role, policies] = await Promise.all([
    readIamFact(iamRole.fetch(aws, location, name)),
    readIamFact(readRolePolicies(aws, location, name)),
  ]);
  if (role === null || isUnread(role)) return role;
  const { arn, id, tags, trust, permissionsBoundary } = role;
  const boundary =
    permissionsBoundary === undefined
      ? null
      : await readIamFact(readManagedPolicy(aws, location, permissionsBoundary));
  return {
    arn,
    facts: omitUndefined({ id, tags, trust, policies, boundary, boundaryArn: permissionsBoundary }),
  };
}

async function readRolePolicies(aws: Aws, location: Location, role: string): Promise<Record<string, Policy>> {
  const [inlineNames, attachedArns] = await Promise.all([
    listInlinePolicies(aws, location, role),
    listAttachedPolicies(aws, location, role),
  ]);
  const documents = await Promise.all([
    ...inlineNames.map(
      async (name): Promise<[string, Policy]> => [name, await fetchInlinePolicy(aws, location, role, name)],
    ),
    ...attachedArns.map(
      async (arn): Promise<[string, Policy]> => [arn, await readManagedPolicy(aws, location, arn)],
    ),
  ]);
  return Object.fromEntries(documents);
}

async function listInlinePolicies(aws: Aws, location: Location, RoleName: string): Promise<string[]> {
  const names: string[] = [];
  const pageIterator = paginate(
    (Marker) => aws.send(location, new ListRolePoliciesCommand(omitUndefined({ RoleName, Marker }))),
    nextIamPage,
  );
  for await (const page of pageIterator) names.push(...(page.PolicyNames ?? []));
  return names;
}

async function listAttachedPolicies(aws: Aws, location: Location, RoleName: string): Promise<string[]> {
  const arns: string[] = [];
  const pageIterator = paginate(
    (Marker) => aws.send(location, new ListAttachedRolePoliciesCommand(omitUndefined({ RoleName, Marker }))),
    nextIamPage,
  );
  for await (const page of pageIterator)
    arns.push(...(page.AttachedPolicies ?? []).flatMap(({ PolicyArn }) => PolicyArn ?? []));
  return arns;
}

type IamPage = Pick<ListRolePoliciesCommandOutput, 'IsTruncated' | 'Marker'>;

const nextIamPage = ({ IsTruncated, Marker }: IamPage): PageCursor => ({
  hasMore: IsTruncated,
  marker: Marker,
});

/** Reads a managed policy that a role gets as its boundary. */
export const readBoundary = (aws: Aws, location: Location, arn: string): Promise<Fact<Policy>> =>
  readFact(readManagedPolicy(aws, location, arn), 'NoSuchEntityException');

async function readManagedPolicy(aws: Aws, location: Location, PolicyArn: string): Promise<Policy> {
  const { Policy } = await aws.send(location, new GetPolicyCommand({ PolicyArn }));
  const VersionId = Policy?.DefaultVersionId ?? 'v1';
  const { PolicyVersion } = await aws.send(location, new GetPolicyVersionCommand({ PolicyArn, VersionId }));
  return parsePolicyDocument(PolicyVersion?.Document ?? EMPTY_POLICY);
}
