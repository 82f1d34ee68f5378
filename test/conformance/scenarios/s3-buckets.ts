import type { BucketLocationConstraint, Tag } from '@aws-sdk/client-s3';
import type { Aws } from '../aws.ts';
import { bucket, FOREIGN_ACCOUNT, type Scenarios, unique, versioned, versioning } from '../support.ts';

const CONSTRAINT = 'localstack/s3.create_bucket/test_different_location_constraint#';
const LOCATION = 'localstack/s3.get_bucket_location/test_different_location_constraint#';
const GLOBAL = 'test_create_bucket_aws_global#';
const TAGS = 'localstack/s3.create_bucket/test_create_bucket_with_tags_exc#';
const AGAIN = 'localstack/s3.create_bucket/test_create_bucket_with_tags_us_east_1_idempotency#';
const VERSIONING = 'test_bucket_versioning_crud#';

export const s3Buckets: Scenarios = {
  [`${CONSTRAINT}create-bucket-constraint-us-east-1`]: (aws) => create(aws, 'us-east-1'),
  [`${CONSTRAINT}create-bucket-constraint-us-east-1-with-None`]: (aws) => createWith(aws, EMPTY),
  [`${CONSTRAINT}create-bucket-us-east-2-no-constraint-exc`]: (aws) => createWith(aws.in('us-east-2'), ''),
  [`${CONSTRAINT}create-bucket-constraint-us-east-2-with-None`]: (aws) =>
    createWith(aws.in('us-east-2'), EMPTY),
  [`${CONSTRAINT}create-bucket-us-east-2-constraint-to-us-west-1`]: (aws) =>
    create(aws.in('us-east-2'), 'us-west-1'),
  [`${CONSTRAINT}create-bucket-us-west-1-constraint-to-us-east-1`]: (aws) =>
    create(aws.in('us-west-1'), 'us-east-1'),
  'localstack/s3.create_bucket/test_create_bucket_head_bucket#create_bucket_location_constraint': (aws) =>
    create(aws.in('us-west-2'), 'us-west-2'),
  [`localstack/s3.create_bucket/${GLOBAL}create-bucket-global`]: (aws) =>
    aws.s3.createBucket({ Bucket: unique('global') }),
  'localstack/s3.create_bucket/test_bucket_constraint_aws_global[us-east-1]#aws-global-constraint': (aws) =>
    create(aws, 'aws-global'),
  'localstack/s3.create_bucket/test_create_bucket_with_eu_location_constraint_raises#eu-location-constraint-error':
    (aws) => create(aws.in('us-east-2'), 'EU'),
  'moto/create-bucket-lc-us-east-1-at-us-west-2': (aws) => create(aws.in('us-west-2'), 'us-east-1'),
  'moto/create-bucket-lc-us-east-2-at-us-west-2': (aws) => create(aws.in('us-west-2'), 'us-east-2'),
  'moto/create-bucket-lc-eu-central-1-at-us-west-2': (aws) => create(aws.in('us-west-2'), 'eu-central-1'),
  'moto/create-bucket-lc-us-gov-east-2-at-us-west-2': (aws) => create(aws.in('us-west-2'), 'us-gov-east-2'),
  'moto/create-bucket-lc-us-east-2-at-us-east-1': async (aws) => {
    const Bucket = unique('bucket');
    const created = await create(aws, 'us-east-2', Bucket);
    const { LocationConstraint } = await aws.s3.getBucketLocation({ Bucket });
    return { ...created, 'GetBucketLocation.LocationConstraint': LocationConstraint };
  },
  'moto/create-bucket-lc-us-east-1': (aws) => create(aws, 'us-east-1'),
  'moto/create-bucket-no-lc-us-east-2': [
    (aws) => createWith(aws.in('us-east-2'), ''),
    (aws) => createWith(aws.in('us-east-2'), EMPTY),
  ],
  'moto/create-bucket-empty-cfg-us-east-1': [
    (aws) => createWith(aws, EMPTY),
    (aws) => aws.s3.createBucket({ Bucket: unique('bucket'), CreateBucketConfiguration: {} }),
  ],
  'localstack/s3.create_bucket/test_bucket_ownership_controls_exc#ownership-non-value-at-creation': (aws) =>
    aws.call(
      's3',
      'CreateBucket',
      { Bucket: unique('bucket') },
      { headers: { 'x-amz-object-ownership': '' } },
    ),

  [`${AGAIN}create-bucket-different-tags`]: async (aws) =>
    createTagged(aws, [{ Key: 'tag2', Value: 'value2' }], await taggedBucket(aws)),
  [`${AGAIN}create-bucket-with-no-tags`]: async (aws) =>
    aws.s3.createBucket({ Bucket: await taggedBucket(aws) }),
  [`${AGAIN}create-bucket-with-empty-tags`]: async (aws) => createTagged(aws, [], await taggedBucket(aws)),
  [`${TAGS}tags-value-none`]: (aws) => createTagged(aws, [{ Key: 'key1', Value: undefined }]),
  [`${TAGS}tags-key-aws-prefix`]: (aws) => createTagged(aws, [{ Key: 'aws:test', Value: 'value1' }]),
  [`${TAGS}tags-key-aws-duplicated-key`]: (aws) =>
    createTagged(aws, [
      { Key: 'key1', Value: 'value1' },
      { Key: 'key1', Value: 'value1' },
    ]),
  [`${TAGS}tags-key-aws-bad-value`]: (aws) => createTagged(aws, [{ Key: 'test', Value: 'value1,value2' }]),
  [`${TAGS}tags-key-aws-bad-key`]: (aws) => createTagged(aws, [{ Key: 'test,test2', Value: 'value1' }]),
  'localstack/s3.create_bucket/test_create_bucket_with_empty_tags#create-bucket-with-empty-tags': (aws) =>
    createTagged(aws, []),
  'localstack/s3.create_bucket/test_create_bucket_with_empty_tags#create-bucket-with-none-tags': (aws) =>
    createWith(aws, EMPTY),
  'localstack/s3.get_bucket_tagging/test_create_bucket_with_empty_tags#get-bucket-tags': async (aws) => {
    const Bucket = unique('bucket');
    await createTagged(aws, [], Bucket);
    return aws.s3.getBucketTagging({ Bucket });
  },
  'localstack/s3.get_bucket_tagging/test_create_bucket_with_tags#get-bucket-tags': async (aws) =>
    aws.s3.getBucketTagging({ Bucket: await taggedBucket(aws) }),

  [`${LOCATION}get-bucket-location-bucket-us-east-1`]: async (aws) =>
    aws.s3.getBucketLocation({ Bucket: await bucket(aws) }),
  [`${LOCATION}get-bucket-location-bucket-us-east-2`]: async (aws) =>
    aws.in('us-east-2').s3.getBucketLocation({ Bucket: await bucket(aws.in('us-east-2')) }),
  [`${LOCATION}get-bucket-location-non-existent-bucket`]: (aws) =>
    aws.s3.getBucketLocation({ Bucket: unique('random-bucket-test') }),
  [`localstack/s3.get_bucket_location/${GLOBAL}get-location-1`]: async (aws) =>
    aws.s3.getBucketLocation({ Bucket: await bucket(aws) }),
  'localstack/s3.get_bucket_location/test_create_bucket_with_eu_location_constraint#get-bucket-location':
    async (aws) => {
      const Bucket = unique('bucket');
      await create(aws.in('eu-west-1'), 'EU', Bucket);
      return aws.in('eu-west-1').s3.getBucketLocation({ Bucket });
    },
  'c7n/test_get_bucket_location_api[error]/s3.GetBucketLocation_1': async (aws) =>
    aws.as(FOREIGN_ACCOUNT).s3.getBucketLocation({ Bucket: await bucket(aws) }),

  'localstack/s3.head_bucket/test_create_bucket_head_bucket#head_bucket': async (aws) =>
    aws.s3.headBucket({ Bucket: await bucket(aws) }),
  'localstack/s3.head_bucket/test_create_bucket_head_bucket#head_bucket_not_exist': (aws) =>
    aws.s3.headBucket({ Bucket: unique('does-not-exist') }),
  'localstack/s3.head_bucket/test_region_header_exists_outside_us_east_1#head_bucket': async (aws) =>
    aws.in('us-west-2').s3.headBucket({ Bucket: await bucket(aws.in('us-west-2')) }),
  [`localstack/s3.head_bucket/${GLOBAL}head-bucket-global`]: async (aws) =>
    aws.s3.headBucket({ Bucket: await bucket(aws) }),

  'localstack/s3.list_buckets/test_delete_bucket_with_content#list-buckets': async (aws) => {
    const alone = aws.as('333333333333');
    const Bucket = await bucket(alone);
    await alone.s3.putObject({ Bucket, Key: 'key', Body: 'content' });
    await alone.s3.deleteObject({ Bucket, Key: 'key' });
    await alone.s3.deleteBucket({ Bucket });
    await bucket(alone);
    return alone.s3.listBuckets();
  },
  [`localstack/s3.list_buckets/${GLOBAL}list-buckets`]: async (aws) => {
    const Prefix = await bucket(aws);
    return aws.s3.listBuckets({ BucketRegion: 'us-east-1', Prefix });
  },
  'localstack/s3.list_buckets/test_create_bucket_with_eu_location_constraint#list-bucket-response': async (
    aws,
  ) => {
    const Bucket = unique('bucket');
    await create(aws.in('eu-west-1'), 'EU', Bucket);
    return aws.in('eu-west-1').s3.listBuckets({ Prefix: Bucket });
  },
  'localstack/s3.list_buckets/test_list_buckets_by_prefix_with_case_sensitivity#list-objects-by-prefix-empty':
    async (aws) => aws.s3.listBuckets({ Prefix: (await bucket(aws)).toUpperCase() }),
  'localstack/s3.list_buckets/test_list_buckets_by_prefix_with_case_sensitivity#list-objects-by-prefix-not-empty':
    async (aws) => aws.s3.listBuckets({ Prefix: await bucket(aws) }),
  'localstack/s3.list_buckets/test_list_buckets_by_bucket_region#list-objects-by-bucket-region-empty': async (
    aws,
  ) => aws.in('eu-central-1').s3.listBuckets({ BucketRegion: 'eu-central-1', Prefix: await bucket(aws) }),
  'localstack/s3.list_buckets/test_list_buckets_region_validation#bad-region': (aws) =>
    aws.s3.listBuckets({ BucketRegion: 'eu-east-1' }),

  'localstack/s3.delete_bucket/test_delete_versioned_bucket_with_objects#delete-with-obj-and-delete-marker':
    async (aws) => {
      const Bucket = await versioned(aws);
      await aws.s3.putObject({ Bucket, Key: 'key', Body: 'something' });
      await aws.s3.deleteObject({ Bucket, Key: 'key' });
      return aws.s3.deleteBucket({ Bucket });
    },
  'localstack/s3.delete_bucket/test_delete_versioned_bucket_with_objects#success-delete-bucket': async (
    aws,
  ) => {
    const Bucket = await versioned(aws);
    const put = await aws.s3.putObject({ Bucket, Key: 'key', Body: 'something' });
    const marker = await aws.s3.deleteObject({ Bucket, Key: 'key' });
    for (const { VersionId } of [put, marker]) {
      await aws.s3.deleteObject({ Bucket, Key: 'key', ...(VersionId === undefined ? {} : { VersionId }) });
    }
    return aws.s3.deleteBucket({ Bucket });
  },

  'localstack/s3.put_bucket_versioning/test_get_bucket_versioning_order#put_bucket_versioning': async (aws) =>
    versioning(aws, await bucket(aws), 'Enabled'),
  [`localstack/s3.put_bucket_versioning/${VERSIONING}put-versioning-suspended-before`]: async (aws) =>
    versioning(aws, await bucket(aws), 'Suspended'),
  [`localstack/s3.put_bucket_versioning/${VERSIONING}put-versioning-disabled`]: async (aws) =>
    versioning(aws, await bucket(aws), 'Disabled'),
  [`localstack/s3.put_bucket_versioning/${VERSIONING}put-versioning-empty`]: async (aws) =>
    aws.s3.putBucketVersioning({ Bucket: await bucket(aws), VersioningConfiguration: {} }),
  [`localstack/s3.put_bucket_versioning/${VERSIONING}put-versioning-no-bucket`]: (aws) =>
    versioning(aws, unique('absent'), 'Suspended'),
  [`localstack/s3.get_bucket_versioning/${VERSIONING}get-versioning-before`]: async (aws) =>
    aws.s3.getBucketVersioning({ Bucket: await bucket(aws) }),
  [`localstack/s3.get_bucket_versioning/${VERSIONING}get-versioning-no-bucket`]: (aws) =>
    aws.s3.getBucketVersioning({ Bucket: unique('absent') }),
  'localstack/s3.put_bucket_versioning/test_disable_versioning_on_locked_bucket#enable-versioning-again-on-locked-bucket':
    async (aws) => {
      const Bucket = unique('locked');
      await aws.s3.createBucket({ Bucket, ObjectLockEnabledForBucket: true });
      return versioning(aws, Bucket, 'Enabled');
    },
  'localstack/s3.get_bucket_replication/test_bucket_availability#bucket-replication': (aws) =>
    aws.s3.getBucketReplication({ Bucket: unique('test-bucket-lifecycle') }),
};

const EMPTY = '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>';

function create(aws: Aws, constraint: string, Bucket = unique('bucket')) {
  const LocationConstraint = constraint as BucketLocationConstraint;
  return aws.s3.createBucket({ Bucket, CreateBucketConfiguration: { LocationConstraint } });
}

/** Replaces the request body: the JavaScript SDK adds a location constraint where the input has none. */
function createWith(aws: Aws, body: string) {
  return aws.call('s3', 'CreateBucket', { Bucket: unique('bucket') }, { body });
}

function createTagged(
  aws: Aws,
  tags: { Key: string; Value: string | undefined }[],
  Bucket = unique('bucket'),
) {
  return aws.s3.createBucket({ Bucket, CreateBucketConfiguration: { Tags: tags as Tag[] } });
}

async function taggedBucket(aws: Aws): Promise<string> {
  const Bucket = unique('bucket');
  await createTagged(aws, [{ Key: 'tag1', Value: 'value1' }], Bucket);
  return Bucket;
}
