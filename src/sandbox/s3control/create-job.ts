import { createHash } from 'node:crypto';
import type {
  CreateJobRequest,
  JobManifestGeneratorFilter,
  JobReport,
  S3JobManifestGenerator,
  S3Tag,
} from '@aws-sdk/client-s3-control';
import { AwsError, missingFeatureError } from '../aws-error.ts';
import { isStorageClass } from '../s3/storage-classes.ts';
import { badRequestError } from './access.ts';

/** Checks of CreateJob. AWS does not document the messages of BadRequestException; these name the member and the limit. */

const OPERATIONS = ['S3ReplicateObject', 'S3UpdateObjectEncryption'];

/** @throws AwsError BadRequestException for an invalid request, NotImplemented for what the sandbox lacks. */
export function checkCreateJob(request: CreateJobRequest): void {
  const { Operation, Report, Priority, RoleArn, ClientRequestToken, Description } = request;
  for (const [name, value] of Object.entries({ Operation, Report, Priority, RoleArn, ClientRequestToken }))
    if (value === undefined || value === '') throw badRequestError(`${name} is required`);
  checkLength('ClientRequestToken', ClientRequestToken, 64);
  checkLength('Description', Description, 256);
  checkPriority(Priority);
  if (!/^arn:[^:]+:iam::\d{12}:role\/.+$/.test(RoleArn ?? '')) throw badRequestError('RoleArn is not valid');
  checkReport(Report ?? { Enabled: false });
  checkOperation(request);
  checkJobTags(request.Tags ?? []);
  if ((request.Manifest === undefined) === (request.ManifestGenerator === undefined))
    throw badRequestError('Specify either Manifest or ManifestGenerator');
  if (request.Manifest) throw missingFeatureError('Manifest of s3control:CreateJob');
  checkGenerator(request.ManifestGenerator?.S3JobManifestGenerator);
}

export function checkPriority(priority: number | undefined): void {
  if (priority === undefined || !(priority >= 0 && priority <= 2_147_483_647))
    throw badRequestError('Priority must be between 0 and 2147483647');
}

/** Returns a digest of the parameters of a request, apart from its token. */
export const digestOfRequest = ({ ClientRequestToken: _, ...parameters }: CreateJobRequest): string =>
  createHash('sha256').update(JSON.stringify(parameters)).digest('hex');

/** @throws AwsError TooManyTagsException for more than 50 tags, BadRequestException for an invalid tag. */
export function checkJobTags(tags: readonly S3Tag[]): void {
  if (tags.length > 50) throw new AwsError(400, 'TooManyTagsException', 'A job can have at most 50 tags');
  for (const { Key, Value } of tags) {
    if (!Key || Value === undefined) throw badRequestError('A tag has a Key and a Value');
    checkLength('Key', Key, 128);
    checkLength('Value', Value, 256);
  }
  if (new Set(tags.map(({ Key }) => Key)).size < tags.length) throw badRequestError('Duplicate tag keys');
}

export function checkLength(name: string, text: string | undefined, limit: number): void {
  if (text !== undefined && text.length > limit)
    throw badRequestError(`${name} must have at most ${limit} characters`);
}

function checkOperation({ Operation = {} }: CreateJobRequest): void {
  const [operation = '', ...others] = Object.entries(Operation).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  );
  if (operation === '' || others.length > 0) throw badRequestError('Specify exactly one Operation');
  if (!OPERATIONS.includes(operation)) throw missingFeatureError(`${operation} of s3control:CreateJob`);
  const update = Operation.S3UpdateObjectEncryption?.ObjectEncryption?.SSEKMS;
  if (operation === 'S3UpdateObjectEncryption' && !update?.KMSKeyArn)
    throw badRequestError('S3UpdateObjectEncryption needs ObjectEncryption with SSE-KMS and KMSKeyArn');
}

function checkReport({ Enabled, Bucket, Format, ReportScope, Prefix }: JobReport): void {
  if (Enabled === undefined) throw badRequestError('Report.Enabled is required');
  checkLength('Report.Prefix', Prefix, 512);
  if (!Enabled) return;
  if (!/^arn:[^:]+:s3:::[^/]+$/.test(Bucket ?? ''))
    throw badRequestError('Report.Bucket must be a bucket ARN');
  if (Format !== 'Report_CSV_20180820') throw badRequestError('Report.Format must be Report_CSV_20180820');
  if (ReportScope !== 'AllTasks' && ReportScope !== 'FailedTasksOnly')
    throw badRequestError('Report.ReportScope must be AllTasks or FailedTasksOnly');
}

function checkGenerator(generator: S3JobManifestGenerator | undefined): void {
  if (!/^arn:[^:]+:s3:::[^/]+$/.test(generator?.SourceBucket ?? ''))
    throw badRequestError('S3JobManifestGenerator.SourceBucket must be a bucket ARN');
  if (generator?.EnableManifestOutput === undefined)
    throw badRequestError('S3JobManifestGenerator.EnableManifestOutput is required');
  if (generator.EnableManifestOutput)
    throw missingFeatureError('EnableManifestOutput of s3control:CreateJob');
  checkFilter(generator.Filter ?? {});
}

const REPLICATION_STATUSES = ['COMPLETED', 'FAILED', 'REPLICA', 'NONE'];

function checkFilter({
  KeyNameConstraint = {},
  ObjectReplicationStatuses = [],
  MatchAnyStorageClass = [],
  MatchAnyObjectEncryption = [],
}: JobManifestGeneratorFilter): void {
  const { MatchAnyPrefix, MatchAnySuffix, MatchAnySubstring } = KeyNameConstraint;
  // SDK reference, KeyNameConstraint: "accepts an array of strings with a length of 1 string".
  for (const [name, texts] of Object.entries({ MatchAnyPrefix, MatchAnySuffix, MatchAnySubstring })) {
    if (texts !== undefined && (texts.length !== 1 || !texts[0]))
      throw badRequestError(`KeyNameConstraint.${name} must have exactly one string`);
    checkLength(name, texts?.[0], 1024);
  }
  if (ObjectReplicationStatuses.some((status) => !REPLICATION_STATUSES.includes(status)))
    throw badRequestError(`ObjectReplicationStatuses must be of ${REPLICATION_STATUSES.join(', ')}`);
  if (!MatchAnyStorageClass.every(isStorageClass))
    throw badRequestError('MatchAnyStorageClass contains an unknown storage class');
  if (MatchAnyObjectEncryption.length > 1)
    throw badRequestError('MatchAnyObjectEncryption must have at most one element');
}
