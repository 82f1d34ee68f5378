import type { Tag } from '@aws-sdk/client-s3';
import { bucketArn, isListedRegion, partitionOfRegion } from '../../util/arn.ts';
import { AwsError, missingFeatureError } from '../aws-error.ts';
import { type Call, type Handlers, pageOf } from '../call.ts';
import { ANONYMOUS } from '../parse-request.ts';
import { malformedXmlError } from '../protocol/rest-xml.ts';
import type { BucketState } from '../state.ts';
import {
  accessDeniedError,
  addBucketRegionHeader,
  canonicalUserIdOf,
  checkCallerAccess,
  getAuthorizedBucket,
  invalidArgumentError,
} from './access.ts';
import { checkNewBucketAcl } from './acls.ts';

export const bucketHandlers: Handlers = {
  CreateBucket(call, input) {
    const name: string = input.Bucket;
    const { Bucket: directory, Location: zone } = input.CreateBucketConfiguration ?? {};
    if (directory !== undefined || zone !== undefined) throw missingFeatureError('directory buckets');
    checkNewBucketName(name);
    const region = regionOfConstraint(call, input.CreateBucketConfiguration?.LocationConstraint);
    checkBucketNamespace(call, name, input.BucketNamespace, region);
    if (input.ObjectOwnership !== undefined && !isObjectOwnership(input.ObjectOwnership)) {
      throw invalidArgumentError(
        `Invalid x-amz-object-ownership header: ${input.ObjectOwnership}`,
        'x-amz-object-ownership',
      );
    }
    const tags: Tag[] = input.CreateBucketConfiguration?.Tags ?? [];
    checkBucketTags(tags);
    checkNewBucketAcl(input, input.ObjectOwnership, call.caller.account);
    checkCallerAccess(call, 's3:CreateBucket', bucketArn(name, region));
    if (tags.length > 0) checkCallerAccess(call, 's3:TagResource', bucketArn(name, region));
    // S3 API Reference, CreateBucket, "Permissions": Object Lock needs both.
    if (input.ObjectLockEnabledForBucket) {
      checkCallerAccess(call, 's3:PutBucketObjectLockConfiguration', bucketArn(name, region));
      checkCallerAccess(call, 's3:PutBucketVersioning', bucketArn(name, region));
    }
    const existingBucket = call.store.bucket(name);
    if (existingBucket) return recreateBucket(call, existingBucket, region, tags.length > 0);
    call.store.addBucket({
      name,
      owner: call.caller.account,
      region,
      ...(input.CreateBucketConfiguration?.LocationConstraint === undefined
        ? {}
        : { location: input.CreateBucketConfiguration.LocationConstraint }),
      created: call.now,
      // S3 encrypts new buckets with SSE-S3 since January 2023, and blocks SSE-C in them since April 2026.
      encryption: {
        Rules: [
          {
            ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' },
            BucketKeyEnabled: false,
            BlockedEncryptionTypes: { EncryptionType: ['SSE-C'] },
          },
        ],
      },
      publicAccessBlock: {
        BlockPublicAcls: true,
        IgnorePublicAcls: true,
        BlockPublicPolicy: true,
        RestrictPublicBuckets: true,
      },
      ownership: { Rules: [{ ObjectOwnership: input.ObjectOwnership ?? 'BucketOwnerEnforced' }] },
      ...(tags.length > 0 ? { tags } : {}),
      ...(input.ObjectLockEnabledForBucket ? { versioning: { Status: 'Enabled' } } : {}),
      objectLock: input.ObjectLockEnabledForBucket ?? false,
      objects: new Map(),
      uploads: new Map(),
    });
    return toCreateBucketOutput(call, name, region);
  },

  HeadBucket(call, input) {
    const bucket = call.store.bucket(input.Bucket);
    if (!bucket) throw new AwsError(404, '404', 'Not Found');
    // S3 API Reference, HeadBucket: the response contains the Region also when it is 403, for any caller.
    addBucketRegionHeader(call, bucket);
    if (call.caller.account === ANONYMOUS) throw accessDeniedError();
    getAuthorizedBucket(call, input, 's3:ListBucket');
    return {
      AccessPointAlias: false,
      BucketArn: bucketArn(bucket.name, bucket.region),
    };
  },

  DeleteBucket(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:DeleteBucket');
    if (bucket.objects.size > 0) {
      throw new AwsError(
        409,
        'BucketNotEmpty',
        bucket.versioning
          ? 'The bucket you tried to delete is not empty. You must delete all versions in the bucket.'
          : 'The bucket you tried to delete is not empty',
        { BucketName: bucket.name },
      );
    }
    call.store.removeBucket(bucket.name);
    return {};
  },

  ListBuckets(call, input) {
    checkCallerAccess(call, 's3:ListAllMyBuckets', '*');
    if (input.BucketRegion !== undefined && !isListedRegion(input.BucketRegion)) {
      throw invalidArgumentError(
        `Argument value ${input.BucketRegion} is not a valid AWS Region`,
        'bucket-region',
      );
    }
    const hasParameters = [input.MaxBuckets, input.Prefix, input.ContinuationToken, input.BucketRegion].some(
      (parameter) => parameter !== undefined,
    );
    const buckets = [...call.store.buckets()]
      .filter(({ owner }) => owner === call.caller.account)
      .filter(({ name }) => name.startsWith(input.Prefix ?? ''))
      .filter(({ region }) => input.BucketRegion === undefined || region === input.BucketRegion)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, created: createdAt, region }) => ({
        Name: name,
        CreationDate: new Date(createdAt),
        BucketArn: bucketArn(name, region),
        // S3 returns the Region only when the request has a parameter.
        ...(hasParameters ? { BucketRegion: region } : {}),
      }));
    const { items, next } = pageOf(buckets, input.MaxBuckets ?? 10_000, input.ContinuationToken);
    return {
      Buckets: items,
      Owner: { ID: canonicalUserIdOf(call.caller.account) },
      ContinuationToken: next,
      ...(input.Prefix === undefined ? {} : { Prefix: input.Prefix }),
    };
  },

  GetBucketLocation(call, input) {
    const bucket = getAuthorizedBucket(call, input, 's3:GetBucketLocation');
    // S3 returns no constraint for us-east-1. For other Regions it returns the constraint of CreateBucket, so a bucket
    // created with `EU` keeps `EU`.
    return bucket.region === 'us-east-1' ? {} : { LocationConstraint: bucket.location ?? bucket.region };
  },
};

export const isObjectOwnership = (text = ''): boolean =>
  ['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'].includes(text);

const toCreateBucketOutput = (call: Call, name: string, region: string) => ({
  Location:
    name.endsWith('-an') || (region === 'us-east-1' && call.region === 'us-east-1')
      ? `/${name}`
      : `http://${name}.s3.amazonaws.com/`,
  BucketArn: bucketArn(name, region),
});

/**
 * Handles CreateBucket for a bucket that exists. In us-east-1 the owner's call succeeds (and S3 resets the ACLs),
 * unless the request has tags, or the bucket is in an account-regional namespace. In all other cases S3 rejects the call.
 */
function recreateBucket(call: Call, bucket: BucketState, region: string, hasTags: boolean) {
  if (bucket.owner !== call.caller.account) {
    throw new AwsError(
      409,
      'BucketAlreadyExists',
      'The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.',
      { BucketName: bucket.name },
    );
  }
  const isGlobal = !bucket.name.endsWith('-an');
  if (region === 'us-east-1' && bucket.region === 'us-east-1' && !hasTags && isGlobal)
    return toCreateBucketOutput(call, bucket.name, region);
  throw new AwsError(
    409,
    'BucketAlreadyOwnedByYou',
    'Your previous request to create the named bucket succeeded and you already own it.',
    { BucketName: bucket.name },
  );
}

function regionOfConstraint(call: Call, constraint: string | undefined): string {
  const illegalConstraintError = (constraintName: string) =>
    new AwsError(
      400,
      'IllegalLocationConstraintException',
      `The ${constraintName} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  if (call.region === 'us-east-1') {
    if (constraint === undefined || constraint === '') return 'us-east-1';
    // The endpoint of us-east-1 is the global one and accepts the constraint of every other Region. `us-east-1` itself
    // is not a valid constraint.
    if (constraint === 'EU') return 'eu-west-1';
    const isValid =
      isListedRegion(constraint) && partitionOfRegion(constraint) === partitionOfRegion(call.region);
    if (constraint === 'us-east-1' || !isValid) {
      throw new AwsError(400, 'InvalidLocationConstraint', 'The specified location-constraint is not valid', {
        LocationConstraint: constraint,
      });
    }
    return constraint;
  }
  if (constraint === undefined || constraint === '') throw illegalConstraintError('unspecified');
  if (constraint === 'EU' && call.region === 'eu-west-1') return 'eu-west-1';
  if (constraint !== call.region) throw illegalConstraintError(constraint);
  return constraint;
}

/** S3 User Guide, "General purpose bucket naming rules". */
const RESERVED_BUCKET_NAME = /^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|--x-s3|--table-s3|\.mrap)$/;

function checkNewBucketName(name: string): void {
  const isInvalid =
    name.length < 3 ||
    name.length > 63 ||
    !/^[a-z0-9][a-z0-9.-]*[a-z0-9]$/.test(name) ||
    name.includes('..') ||
    /^\d+\.\d+\.\d+\.\d+$/.test(name) ||
    RESERVED_BUCKET_NAME.test(name);
  if (isInvalid)
    throw new AwsError(400, 'InvalidBucketName', 'The specified bucket is not valid.', { BucketName: name });
}

/**
 * Checks the namespace of a new bucket. Only the account-regional namespace has names that end in `-an`.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html
 */
function checkBucketNamespace(call: Call, name: string, namespace = 'global', region: string): void {
  const { account } = call.caller;
  if (!['global', 'account-regional'].includes(namespace))
    throw invalidArgumentError(
      `Invalid x-amz-bucket-namespace header: ${namespace}`,
      'x-amz-bucket-namespace',
    );
  const isRegional = namespace === 'account-regional';
  if (!name.endsWith('-an')) {
    if (!isRegional) return;
    throw new AwsError(
      400,
      'InvalidNamespaceHeader',
      `The requested bucket name did not include the account-regional namespace suffix, but the provided x-amz-bucket-namespace header value is account-regional. Specify -${account}-${region}-an as the bucket name suffix to create a bucket in your account-regional namespace, or remove the header.`,
    );
  }
  if (!isRegional) {
    throw new AwsError(
      400,
      'MissingNamespaceHeader',
      'The requested bucket name includes the account-regional namespace suffix, but the request has no x-amz-bucket-namespace header with the value account-regional.',
    );
  }
  if (name.length > `-${account}-${region}-an`.length && name.endsWith(`-${account}-${region}-an`)) return;
  throw new AwsError(
    400,
    'InvalidBucketNamespace',
    `The requested bucket is an account-regional namespace bucket, but its name does not end with -${account}-${region}-an.`,
    { BucketName: name },
  );
}

function checkBucketTags(tags: Tag[]): void {
  const invalidTagError = (message: string, fields: Record<string, string> = {}) =>
    new AwsError(400, 'InvalidTag', message, fields);
  if (tags.some(({ Key, Value }) => Key === undefined || Value === undefined)) throw malformedXmlError();
  for (const { Key = '', Value = '' } of tags) {
    if (Key.startsWith('aws:')) {
      throw invalidTagError(
        'User-defined tag keys can\'t start with "aws:". This prefix is reserved for system tags. Remove "aws:" from your tag keys and try again.',
      );
    }
    if (!TAG_TEXT_PATTERN.test(Key))
      throw invalidTagError('The TagKey you have provided is invalid', { TagKey: Key });
    if (!TAG_TEXT_PATTERN.test(Value))
      throw invalidTagError('The TagValue you have provided is invalid', { TagKey: Key, TagValue: Value });
  }
  // fact: localstack create_bucket with duplicate tags — S3 responds with status 500.
  if (new Set(tags.map(({ Key }) => Key)).size < tags.length) {
    throw new AwsError(500, 'InternalError', 'We encountered an internal error. Please try again.');
  }
}

/** The characters that S3 accepts in the keys and values of tags. */
export const TAG_TEXT_PATTERN = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
