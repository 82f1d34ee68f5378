import * as z from 'zod';

const millisecondsSchema = z.number().min(0).max(3_600_000);

const faultSchema = z.strictObject({
  /** Operation (`PutBucketReplication`), service (`kms`), or `*`. */
  match: z.string().min(1),
  /** Number of the first matching call that fails, counted from 1 since the fault was set. */
  nth: z.number().int().min(1),
  /** Number of matching calls that fail from `nth` on; default 1. */
  times: z.number().int().min(1).optional(),
  /** An error response, or a dropped connection before or after the sandbox handles the call. */
  what: z.union([
    z.enum(['reset-before', 'reset-after', 'throttle']),
    z.strictObject({
      status: z.number().int().min(400).max(599),
      code: z.string().min(1),
      message: z.string().optional(),
    }),
  ]),
});

/** Faults and delays that a test injects into the sandbox. Each setting can change while the sandbox runs. */
const faultSettingsSchema = z.strictObject({
  /** Delay before each response, in milliseconds. */
  latencyMs: millisecondsSchema,
  /** Delay until requests see a new role, in milliseconds. */
  rolePropagationMs: millisecondsSchema,
  /** Delay until requests see a new key, in milliseconds. */
  keyPropagationMs: millisecondsSchema,
  /** Time for which a new replica of a multi-Region key is in the state Creating, in milliseconds. */
  keyCreationMs: millisecondsSchema,
  /** Delay until requests are authorised by a changed policy of a role, key or bucket, in milliseconds. */
  policyPropagationMs: millisecondsSchema,
  /** Delay between the response to a put and the replication of the object, in milliseconds. */
  replicationDelayMs: millisecondsSchema,
  /**
   * Rules for objects in flight: those of the moment at which the object was written, or at which S3 processes it. The
   * documentation of AWS does not say which. An object without a rule at its processing stays PENDING.
   */
  inFlight: z.enum(['atWrite', 'atProcessing']),
  /** Delay until a new notification configuration of a bucket is in effect, in milliseconds. */
  notificationDelayMs: millisecondsSchema,
  /** Delay until CloudTrail returns the event of a change, in milliseconds. */
  trailDelayMs: millisecondsSchema,
  /** ARN of the queue to which EventBridge sends each event of CloudTrail; empty: none. */
  changeQueue: z.string().regex(/^$|^arn:[\w-]+:sqs:[a-z0-9-]+:\d{12}:[\w-]+$/),
  /** Delay until EventBridge sends the event of a change, in milliseconds. */
  changeDelayMs: millisecondsSchema,
  /** Age from which CloudWatch returns a datapoint, in milliseconds after the start of its minute. */
  metricsDelayMs: millisecondsSchema,
  /** Time for which a batch job stays in each state that is not final, in milliseconds. */
  jobStateMs: millisecondsSchema,
  /** Delay after CreateJob until requests find the job by its id, in milliseconds. */
  jobPropagationMs: millisecondsSchema,
  /** Days after its end for which S3 Control returns a job. */
  jobHorizonDays: z.number().min(0).max(3650),
  /**
   * Response to a CreateJob request that repeats the token and the parameters of an earlier one: the id of that job, or
   * another job. The documentation of AWS does not say which.
   */
  repeatedJobToken: z.enum(['sameJob', 'newJob']),
  /**
   * Whether a job that awaits confirmation has its number of tasks. The console of AWS shows a number; the documentation
   * of the API does not say.
   */
  suspendedJobTotal: z.boolean(),
  /** Regions that the accounts have not enabled: all services refuse the credentials there, except IAM, which is global. */
  disabledRegions: z.array(z.string()),
  /**
   * Requests that count as sent over TLS, for `aws:SecureTransport` and SSE-C: those over loopback, all or none. The
   * sandbox speaks plain HTTP.
   */
  secureTransport: z.enum(['loopback', 'always', 'never']),
  faults: z.array(faultSchema),
});

export type FaultSettings = z.output<typeof faultSettingsSchema>;
export type InjectedFault = z.output<typeof faultSchema>;

/** Subset of the fault settings, as a client sends it. */
export const partialFaultSettingsSchema = faultSettingsSchema.partial();

export const defaultFaultSettings = (): FaultSettings => ({
  latencyMs: 0,
  rolePropagationMs: 0,
  keyPropagationMs: 0,
  keyCreationMs: 2000,
  policyPropagationMs: 0,
  replicationDelayMs: 0,
  inFlight: 'atWrite',
  notificationDelayMs: 0,
  trailDelayMs: 0,
  changeQueue: '',
  changeDelayMs: 0,
  metricsDelayMs: 0,
  jobStateMs: 0,
  jobPropagationMs: 0,
  jobHorizonDays: 90,
  repeatedJobToken: 'sameJob',
  suspendedJobTotal: true,
  disabledRegions: [],
  secureTransport: 'loopback',
  faults: [],
});

const UNRECOGNIZED_CLIENT = {
  status: 400,
  code: 'UnrecognizedClientException',
  message: 'The security token included in the request is invalid.',
};

const INVALID_CLIENT_TOKEN = {
  status: 403,
  code: 'InvalidClientTokenId',
  message: 'The security token included in the request is invalid',
};

const INVALID_TOKEN = {
  status: 400,
  code: 'InvalidToken',
  message: 'The provided token is malformed or otherwise invalid.',
};

/** Errors for valid credentials in a Region that is not enabled. */
const DISABLED_REGION_ERRORS = {
  s3: INVALID_TOKEN,
  s3control: INVALID_TOKEN,
  sts: INVALID_CLIENT_TOKEN,
  kms: UNRECOGNIZED_CLIENT,
  cloudtrail: UNRECOGNIZED_CLIENT,
  cloudwatch: UNRECOGNIZED_CLIENT,
  sqs: UNRECOGNIZED_CLIENT,
  sns: INVALID_CLIENT_TOKEN,
  organizations: UNRECOGNIZED_CLIENT,
};

const THROTTLING_ERRORS = {
  s3: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
  // The model of S3 Control has this error, and no HTTP status for it.
  s3control: { status: 400, code: 'TooManyRequestsException', message: 'Please reduce your request rate.' },
  iam: { status: 400, code: 'Throttling', message: 'Rate exceeded' },
  sts: { status: 400, code: 'Throttling', message: 'Rate exceeded' },
  kms: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
  cloudtrail: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
  cloudwatch: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
  sqs: { status: 403, code: 'RequestThrottled', message: 'Request is throttled.' },
  sns: { status: 400, code: 'Throttling', message: 'Rate exceeded' },
  organizations: { status: 400, code: 'TooManyRequestsException', message: 'Rate exceeded' },
};

/** Returns a function that counts the matching calls of each fault and returns the effect on the current call. */
export function createFaultPicker(settings: FaultSettings) {
  const callCounts = new WeakMap<InjectedFault, number>();
  return (
    service: keyof typeof THROTTLING_ERRORS,
    operation: string,
    region: string,
  ): Exclude<InjectedFault['what'], 'throttle'> | undefined => {
    let effect: Exclude<InjectedFault['what'], 'throttle'> | undefined;
    for (const fault of settings.faults) {
      if (fault.match !== '*' && fault.match !== service && fault.match !== operation) continue;
      const count = (callCounts.get(fault) ?? 0) + 1;
      callCounts.set(fault, count);
      if (count < fault.nth || count >= fault.nth + (fault.times ?? 1)) continue;
      effect ??= fault.what === 'throttle' ? THROTTLING_ERRORS[service] : fault.what;
    }
    if (service !== 'iam' && settings.disabledRegions.includes(region))
      effect ??= DISABLED_REGION_ERRORS[service];
    return effect;
  };
}
