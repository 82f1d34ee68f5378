import type { AccessControlPolicy, Grantee, ObjectOwnership } from '@aws-sdk/client-s3';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import type { BucketState } from '../state.ts';
import {
  type BucketInput,
  canonicalUserIdOf,
  checkBucketAccess,
  getAuthorizedBucket,
  invalidArgumentError,
  objectAction,
  readUnlessHidden,
  requireObjectOwner,
} from './access.ts';
import { getReadableVersion } from './versions.ts';

/**
 * Access control lists. The sandbox has one ACL: the owner has full control. It accepts other ACLs where they have no
 * other effect, and rejects them with the error of AWS where AWS does. It returns 501 for the rest.
 */
export const aclHandlers: Handlers = {
  GetBucketAcl: (call, input) => ownerAclOf(getAuthorizedBucket(call, input, 's3:GetBucketAcl').owner),

  PutBucketAcl(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:PutBucketAcl');
    changeAcl(bucket, input, bucket.owner);
    return {};
  },

  GetObjectAcl(call, input) {
    const { bucket, version } = getOwnVersion(call, input, 's3:GetObjectAcl');
    return ownerAclOf(version.owner ?? bucket.owner);
  },

  PutObjectAcl(call, input) {
    const { bucket, version } = getOwnVersion(call, input, 's3:PutObjectAcl');
    changeAcl(bucket, input, version.owner ?? bucket.owner);
    return {};
  },
};

const ownerAclOf = (account: string) => {
  const owner = { ID: canonicalUserIdOf(account) };
  return {
    Owner: owner,
    Grants: [{ Grantee: { Type: 'CanonicalUser', ...owner }, Permission: 'FULL_CONTROL' }],
  };
};

function getOwnVersion(call: Call, input: BucketInput & { Key: string; VersionId?: string }, action: string) {
  const { Key, VersionId } = input;
  const bucket = getAuthorizedBucket(call, input, objectAction(action, VersionId), Key);
  const version = readUnlessHidden(call, bucket, () => getReadableVersion(bucket, Key, VersionId, false));
  requireObjectOwner(call, version);
  return { bucket, version };
}

/** Members of a request that set an ACL. */
export interface AclRequest {
  ACL?: string;
  GrantFullControl?: string;
  GrantRead?: string;
  GrantReadACP?: string;
  GrantWrite?: string;
  GrantWriteACP?: string;
}

const GRANT_HEADERS = {
  GrantFullControl: 'x-amz-grant-full-control',
  GrantRead: 'x-amz-grant-read',
  GrantReadACP: 'x-amz-grant-read-acp',
  GrantWrite: 'x-amz-grant-write',
  GrantWriteACP: 'x-amz-grant-write-acp',
} as const;

/** The grantees of an ACL beside the owner of the resource: none, the owner of the bucket, everyone, or others. */
type AclAudience = 'owner' | 'bucketOwner' | 'public' | 'others';

/** Audience of the canned ACLs. AuthenticatedUsers counts as public: it is every user of AWS. */
const CANNED_ACLS: Record<string, AclAudience> = {
  private: 'owner',
  'bucket-owner-read': 'bucketOwner',
  'bucket-owner-full-control': 'bucketOwner',
  'public-read': 'public',
  'public-read-write': 'public',
  'authenticated-read': 'public',
  'aws-exec-read': 'others',
  'log-delivery-write': 'others',
};

const PUBLIC_GROUPS = ['AllUsers', 'AuthenticatedUsers'].map(
  (group) => `http://acs.amazonaws.com/groups/global/${group}`,
);
const LOG_DELIVERY_GROUP = 'http://acs.amazonaws.com/groups/s3/LogDelivery';

/**
 * Returns the audience of the ACL of a request, or undefined for a request without one.
 *
 * @throws AwsError for an ACL that is not valid.
 */
function audienceOf(request: AclRequest, bucketOwner: string): AclAudience | undefined {
  const grants = Object.entries(GRANT_HEADERS).flatMap(([member, header]) => {
    const value = request[member as keyof typeof GRANT_HEADERS];
    return value ? [{ header, value }] : [];
  });
  if (request.ACL && grants.length > 0) {
    throw new AwsError(400, 'InvalidRequest', 'Specifying both Canned ACLs and Header Grants is not allowed');
  }
  if (request.ACL) {
    const audience = CANNED_ACLS[request.ACL];
    if (audience === undefined) throw invalidArgumentError('', 'x-amz-acl', request.ACL);
    return audience;
  }
  const grantees = grants.flatMap(({ header, value }) =>
    value.split(',').map((grantee) => parseGrantee(grantee.trim(), header)),
  );
  if (grantees.length === 0) return undefined;
  const audience = widestAudienceOf(grantees, bucketOwner, ['uri', 'id']);
  // Without full control, the ACL would take permissions from the owner.
  return audience === 'bucketOwner' && !request.GrantFullControl ? 'others' : audience;
}

function parseGrantee(text: string, header: string): Partial<Grantee> {
  const [, type, value = ''] = /^(uri|id|emailAddress)="?([^"]*)"?$/.exec(text) ?? [];
  if (type === undefined) throw invalidArgumentError('Argument format not recognized', header, text);
  return type === 'uri' ? { URI: value } : type === 'id' ? { ID: value } : { EmailAddress: value };
}

function widestAudienceOf(
  grantees: Partial<Grantee>[],
  bucketOwner: string,
  [uriName = '', idName = '']: string[],
): AclAudience {
  const audiences = grantees.map(({ URI, ID }): AclAudience => {
    if (URI !== undefined) {
      if (PUBLIC_GROUPS.includes(URI)) return 'public';
      if (URI === LOG_DELIVERY_GROUP) return 'others';
      throw invalidArgumentError('Invalid group uri', uriName, URI);
    }
    if (ID !== undefined && !/^[0-9a-f]{64}$/.test(ID)) throw invalidArgumentError('Invalid id', idName, ID);
    return ID === canonicalUserIdOf(bucketOwner) ? 'bucketOwner' : 'others';
  });
  return (
    audiences.find((audience) => audience === 'public') ??
    audiences.find((audience) => audience === 'others') ??
    'bucketOwner'
  );
}

/** Handles a request that replaces the ACL of a bucket or an object. */
function changeAcl(
  bucket: BucketState,
  input: AclRequest & { AccessControlPolicy?: AccessControlPolicy },
  owner: string,
): void {
  const { AccessControlPolicy: policy } = input;
  const headerAudience = audienceOf(input, owner);
  if (headerAudience !== undefined && policy !== undefined) {
    throw new AwsError(400, 'UnexpectedContent', 'This request does not support content');
  }
  const audience = headerAudience ?? (policy && audienceOfPolicy(policy, owner));
  if (audience === undefined) {
    throw new AwsError(400, 'MissingSecurityHeader', 'Your request was missing a required header', {
      MissingHeaderName: 'x-amz-acl',
    });
  }
  if (ownershipOf(bucket) === 'BucketOwnerEnforced') throw aclNotSupportedError();
  const isForeignOwner = owner !== bucket.owner && input.ACL?.startsWith('bucket-owner-');
  rejectWiderAcl(bucket, isForeignOwner ? 'others' : audience);
}

function audienceOfPolicy({ Owner, Grants }: AccessControlPolicy, owner: string): AclAudience {
  const malformedAclError = () =>
    new AwsError(
      400,
      'MalformedACLError',
      'The XML you provided was not well-formed or did not validate against our published schema',
    );
  if (!Owner || !Grants) throw malformedAclError();
  const permissions = ['FULL_CONTROL', 'READ', 'WRITE', 'READ_ACP', 'WRITE_ACP'];
  if (Grants.some(({ Grantee: grantee, Permission = '' }) => !grantee || !permissions.includes(Permission))) {
    throw malformedAclError();
  }
  const grantees = [Owner, ...Grants.flatMap(({ Grantee: grantee }) => grantee ?? [])];
  const audience = widestAudienceOf(grantees, owner, ['Group/URI', 'CanonicalUser/ID']);
  const isFullControl = Grants.some(({ Permission }) => Permission === 'FULL_CONTROL');
  return audience === 'bucketOwner' && !isFullControl ? 'others' : audience;
}

/**
 * Checks the ACL of a new object, and the caller's permission for it.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
 */
export function checkObjectAcl(call: Call, bucket: BucketState, key: string, request: AclRequest): void {
  const audience = audienceOf(request, bucket.owner);
  if (audience === undefined) return;
  checkBucketAccess(call, bucket, 's3:PutObjectAcl', key);
  if (ownershipOf(bucket) === 'BucketOwnerEnforced') {
    const isEquivalent =
      request.ACL === 'private' ||
      request.ACL === 'bucket-owner-full-control' ||
      (audience === 'bucketOwner' && request.GrantFullControl !== undefined);
    if (!isEquivalent) throw aclNotSupportedError();
    return;
  }
  const isForeignOwner = ownerOfNewObject(call, bucket, request).owner !== undefined;
  rejectWiderAcl(bucket, audience === 'bucketOwner' && isForeignOwner ? 'others' : audience);
}

/** Returns the owner of a new object, if that is not the owner of the bucket. */
export function ownerOfNewObject(call: Call, bucket: BucketState, { ACL }: AclRequest): { owner?: string } {
  const ownership = ownershipOf(bucket);
  const isBucketOwner =
    call.caller.account === bucket.owner ||
    ownership === 'BucketOwnerEnforced' ||
    (ownership === 'BucketOwnerPreferred' && ACL === 'bucket-owner-full-control');
  return isBucketOwner ? {} : { owner: call.caller.account };
}

/** Checks the ACL of CreateBucket. A new bucket blocks public access. */
export function checkNewBucketAcl(
  request: AclRequest,
  ownership: ObjectOwnership | undefined,
  owner: string,
): void {
  const audience = audienceOf(request, owner) ?? 'owner';
  if (audience === 'owner' || audience === 'bucketOwner') return;
  if ((ownership ?? 'BucketOwnerEnforced') === 'BucketOwnerEnforced') {
    throw new AwsError(
      400,
      'InvalidBucketAclWithObjectOwnership',
      "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    );
  }
  if (audience === 'public') {
    throw new AwsError(
      400,
      'InvalidBucketAclWithBlockPublicAccessError',
      'Bucket cannot have public ACLs set with BlockPublicAccess enabled',
    );
  }
  throw aclNotImplementedError();
}

/** Without ownership controls, S3 treats a bucket as with ObjectWriter. */
const ownershipOf = ({ ownership }: BucketState): ObjectOwnership =>
  ownership?.Rules?.[0]?.ObjectOwnership ?? 'ObjectWriter';

const aclNotSupportedError = (): AwsError =>
  new AwsError(400, 'AccessControlListNotSupported', 'The bucket does not allow ACLs');

const aclNotImplementedError = (): AwsError =>
  new AwsError(501, 'NotImplemented', 'The sandbox does not implement ACLs that grant access to others');

/** Rejects an ACL that grants access to others than the owner. */
function rejectWiderAcl(bucket: BucketState, audience: AclAudience): void {
  if (audience === 'public' && bucket.publicAccessBlock?.BlockPublicAcls) {
    throw new AwsError(403, 'AccessDenied', 'Access Denied');
  }
  if (audience === 'public' || audience === 'others') throw aclNotImplementedError();
}
