import type { Tag } from '@aws-sdk/client-s3';
import { AwsError } from '../aws-error.ts';
import type { Call, Handlers } from '../call.ts';
import { page } from '../page.ts';
import { malformedXml } from '../protocol/rest-xml.ts';
import type { BucketState } from '../state.ts';
import { REGIONS } from './regions.ts';
import { bucketOf, checkCaller, invalidArgument } from './requests.ts';

export const bucketHandlers: Handlers = {
  CreateBucket(call, input) {
    const name: string = input.Bucket;
    checkName(name);
    const region = regionOf(call, input.CreateBucketConfiguration?.LocationConstraint);
    if (input.ObjectOwnership !== undefined && !OWNERSHIPS.includes(input.ObjectOwnership)) {
      throw invalidArgument(
        `Invalid x-amz-object-ownership header: ${input.ObjectOwnership}`,
        'x-amz-object-ownership',
      );
    }
    const tags: Tag[] = input.CreateBucketConfiguration?.Tags ?? [];
    checkTags(tags);
    checkCaller(call, 's3:CreateBucket', `arn:aws:s3:::${name}`);
    if (tags.length > 0) checkCaller(call, 's3:TagResource', `arn:aws:s3:::${name}`);
    const known = call.store.bucket(name);
    if (known) return existing(call, known, region, tags.length > 0);
    call.store.addBucket({
      name,
      owner: call.caller.account,
      region,
      ...(input.CreateBucketConfiguration?.LocationConstraint === undefined
        ? {}
        : { location: input.CreateBucketConfiguration.LocationConstraint }),
      created: call.now,
      // SSE-S3 since January 2023, and SSE-C blocked since April 2026.
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
    return created(call, name, region);
  },

  HeadBucket(call, input) {
    const bucket = call.store.bucket(input.Bucket);
    if (!bucket) throw new AwsError(404, '404', 'Not Found');
    bucketOf(call, input, 's3:ListBucket');
    return { BucketRegion: bucket.region, AccessPointAlias: false, BucketArn: `arn:aws:s3:::${bucket.name}` };
  },

  DeleteBucket(call, input) {
    const bucket = bucketOf(call, input, 's3:DeleteBucket');
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
    checkCaller(call, 's3:ListAllMyBuckets', '*');
    if (input.BucketRegion !== undefined && !REGIONS.includes(input.BucketRegion)) {
      throw invalidArgument(
        `Argument value ${input.BucketRegion} is not a valid AWS Region`,
        'bucket-region',
      );
    }
    const asked = [input.MaxBuckets, input.Prefix, input.ContinuationToken, input.BucketRegion].some(
      (one) => one !== undefined,
    );
    const buckets = [...call.store.buckets()]
      .filter(({ owner }) => owner === call.caller.account)
      .filter(({ name }) => name.startsWith(input.Prefix ?? ''))
      .filter(({ region }) => input.BucketRegion === undefined || region === input.BucketRegion)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, created: at, region }) => ({
        Name: name,
        CreationDate: new Date(at),
        BucketArn: `arn:aws:s3:::${name}`,
        // The Region is told only once a parameter is given.
        ...(asked ? { BucketRegion: region } : {}),
      }));
    const { items, next } = page(buckets, input.MaxBuckets ?? 10_000, input.ContinuationToken);
    return {
      Buckets: items,
      Owner: { ID: ownerId(call.caller.account) },
      ContinuationToken: next,
      ...(input.Prefix === undefined ? {} : { Prefix: input.Prefix }),
    };
  },

  GetBucketLocation(call, input) {
    const bucket = bucketOf(call, input, 's3:GetBucketLocation');
    // us-east-1 answers nothing, and EU what was asked for at the creation.
    return bucket.region === 'us-east-1' ? {} : { LocationConstraint: bucket.location ?? bucket.region };
  },
};

const OWNERSHIPS = ['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'];

/** S3's canonical user id of an account. */
export const ownerId = (account: string): string => Buffer.from(account).toString('hex').padEnd(64, '0');

const created = (call: Call, name: string, region: string) => ({
  Location:
    region === 'us-east-1' && call.region === 'us-east-1' ? `/${name}` : `http://${name}.s3.amazonaws.com/`,
  BucketArn: `arn:aws:s3:::${name}`,
});

/** In us-east-1 creating one's own bucket again succeeds (and resets its ACLs), unless tags are given. */
function existing(call: Call, known: BucketState, region: string, tagged: boolean) {
  if (known.owner !== call.caller.account) {
    throw new AwsError(
      409,
      'BucketAlreadyExists',
      'The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.',
      { BucketName: known.name },
    );
  }
  if (region === 'us-east-1' && known.region === 'us-east-1' && !tagged)
    return created(call, known.name, region);
  throw new AwsError(
    409,
    'BucketAlreadyOwnedByYou',
    'Your previous request to create the named bucket succeeded and you already own it.',
    { BucketName: known.name },
  );
}

function regionOf(call: Call, constraint: string | undefined): string {
  const illegal = (what: string) =>
    new AwsError(
      400,
      'IllegalLocationConstraintException',
      `The ${what} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  if (call.region === 'us-east-1') {
    if (constraint === undefined || constraint === '') return 'us-east-1';
    // us-east-1 is not among the constraints; its endpoint is the global one and takes all that are.
    if (constraint === 'EU') return 'eu-west-1';
    if (constraint === 'us-east-1' || !REGIONS.includes(constraint)) {
      throw new AwsError(400, 'InvalidLocationConstraint', 'The specified location-constraint is not valid', {
        LocationConstraint: constraint,
      });
    }
    return constraint;
  }
  if (constraint === undefined || constraint === '') throw illegal('unspecified');
  if (constraint === 'EU' && call.region === 'eu-west-1') return 'eu-west-1';
  if (constraint !== call.region) throw illegal(constraint);
  return constraint;
}

function checkName(name: string): void {
  const wrong =
    name.length < 3 ||
    name.length > 63 ||
    !/^[a-z0-9][a-z0-9.-]*[a-z0-9]$/.test(name) ||
    name.includes('..') ||
    /^\d+\.\d+\.\d+\.\d+$/.test(name) ||
    name.startsWith('xn--') ||
    name.endsWith('-s3alias');
  if (wrong)
    throw new AwsError(400, 'InvalidBucketName', 'The specified bucket is not valid.', { BucketName: name });
}

function checkTags(tags: Tag[]): void {
  const invalid = (message: string, fields: Record<string, string> = {}) =>
    new AwsError(400, 'InvalidTag', message, fields);
  if (tags.some(({ Key, Value }) => Key === undefined || Value === undefined)) throw malformedXml();
  for (const { Key = '', Value = '' } of tags) {
    if (Key.startsWith('aws:')) {
      throw invalid(
        'User-defined tag keys can\'t start with "aws:". This prefix is reserved for system tags. Remove "aws:" from your tag keys and try again.',
      );
    }
    if (!TAG_TEXT.test(Key))
      throw invalid('The TagKey you have provided is invalid', { TagKey: Key, TagValue: Value });
    if (!TAG_TEXT.test(Value))
      throw invalid('The TagValue you have provided is invalid', { TagKey: Key, TagValue: Value });
  }
  // fact: localstack create_bucket with duplicate tags — S3 answers 500.
  if (new Set(tags.map(({ Key }) => Key)).size < tags.length) {
    throw new AwsError(500, 'InternalError', 'We encountered an internal error. Please try again.');
  }
}

/** What S3 takes in tags. */
export const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
