import { AwsError } from '../aws-error.ts';
import type { Handler, Handlers } from '../call.ts';
import { type BucketInput, getAuthorizedBucket } from './access.ts';

/**
 * Settings that no bucket of the sandbox has. A read returns what S3 returns for a bucket without the setting, so that
 * clients can read a whole bucket. A deletion succeeds. A write returns 501, unless it leaves the setting unset.
 *
 * The errors are those that LocalStack recorded from S3 (tests/aws/services/s3/test_s3.snapshot.json).
 */
export const unsetSettingHandlers: Handlers = {
  GetBucketCors: notFoundReader(
    's3:GetBucketCORS',
    'NoSuchCORSConfiguration',
    'The CORS configuration does not exist',
  ),
  DeleteBucketCors: emptyReader('s3:PutBucketCORS'),

  GetBucketWebsite: notFoundReader(
    's3:GetBucketWebsite',
    'NoSuchWebsiteConfiguration',
    'The specified bucket does not have a website configuration',
  ),
  DeleteBucketWebsite: emptyReader('s3:DeleteBucketWebsite'),

  GetBucketLogging: emptyReader('s3:GetBucketLogging'),
  PutBucketLogging: unsettingWriter('s3:PutBucketLogging', ({ BucketLoggingStatus }) =>
    isEmpty(BucketLoggingStatus),
  ),

  GetBucketRequestPayment: reader('s3:GetBucketRequestPayment', { Payer: 'BucketOwner' }),
  PutBucketRequestPayment: unsettingWriter(
    's3:PutBucketRequestPayment',
    ({ RequestPaymentConfiguration }) => RequestPaymentConfiguration?.Payer === 'BucketOwner',
  ),

  GetBucketAccelerateConfiguration: emptyReader('s3:GetAccelerateConfiguration'),
  // S3 User Guide, "Using tags with S3 general purpose buckets": access control by tags is off by default.
  GetBucketAbac: reader('s3:GetBucketAbac', { AbacStatus: { Status: 'Disabled' } }),

  ...handlersOfList('Analytics'),
  ...handlersOfList('IntelligentTiering'),
  ...handlersOfList('Inventory'),
  ...handlersOfList('Metrics'),
};

/** Returns the handlers of a setting that is a list of configurations with ids. */
function handlersOfList(name: string): Handlers {
  const notFound = ['NoSuchConfiguration', 'The specified configuration does not exist.'] as const;
  return {
    [`ListBucket${name}Configurations`]: reader(`s3:Get${name}Configuration`, { IsTruncated: false }),
    [`GetBucket${name}Configuration`]: notFoundReader(`s3:Get${name}Configuration`, ...notFound),
    [`DeleteBucket${name}Configuration`]: notFoundReader(`s3:Put${name}Configuration`, ...notFound),
  };
}

function reader(action: string, output: object): Handler {
  return (call, input: BucketInput) => {
    getAuthorizedBucket(call, input, action);
    return output;
  };
}

function emptyReader(action: string): Handler {
  return reader(action, {});
}

function notFoundReader(action: string, code: string, message: string): Handler {
  return (call, input: BucketInput) => {
    const { name } = getAuthorizedBucket(call, input, action);
    throw new AwsError(404, code, message, code === 'NoSuchConfiguration' ? {} : { BucketName: name });
  };
}

/** Returns a handler that accepts only inputs for which `leavesUnset` is true. */
function unsettingWriter(
  action: string,
  // biome-ignore lint/suspicious/noExplicitAny: each operation has its own input
  leavesUnset: (input: any) => boolean,
): Handler {
  return (call, input: BucketInput) => {
    getAuthorizedBucket(call, input, action);
    if (leavesUnset(input)) return {};
    throw new AwsError(
      501,
      'NotImplemented',
      `The sandbox does not implement ${call.operation} with other than the default values`,
    );
  };
}

/** Returns whether a configuration has no element with a value. */
const isEmpty = (configuration: object | undefined): boolean =>
  Object.values(configuration ?? {}).every((value) => value === undefined);
