import * as z from 'zod';

const millisecondsSchema = z.number().min(0).max(3_600_000);

const faultSchema = z.strictObject({
  /** Operation (`PutBucketReplication`), service (`kms`), or `*`. */
  match: z.string().min(1),
  /** The first matching call that it strikes, counted from 1 and from when it was set. */
  nth: z.number().int().min(1),
  /** How many calls it strikes from then on; default 1. */
  times: z.number().int().min(1).optional(),
  /** An answer; or the connection is dropped before the call is handled, or after. */
  what: z.union([
    z.enum(['reset-before', 'reset-after', 'throttle']),
    z.strictObject({
      status: z.number().int().min(400).max(599),
      code: z.string().min(1),
      message: z.string().optional(),
    }),
  ]),
});

/** What a test turns to make the sandbox behave like AWS on a bad day. All may be changed while it runs. */
const faultSettingsSchema = z.strictObject({
  /** Added to every answer, in milliseconds. */
  latencyMs: millisecondsSchema,
  /** Until a new role or an inline policy of a role is visible to anybody, in milliseconds. */
  rolePropagationMs: millisecondsSchema,
  /** Until a new key is visible, in milliseconds. */
  keyPropagationMs: millisecondsSchema,
  /** Between the answer to a put and its replication, in milliseconds. */
  replicationDelayMs: millisecondsSchema,
  /** Until CloudTrail tells of a change, in milliseconds. */
  trailDelayMs: millisecondsSchema,
  faults: z.array(faultSchema),
});

export type FaultSettings = z.output<typeof faultSettingsSchema>;
export type InjectedFault = z.output<typeof faultSchema>;

/** Some of the fault settings, as a client sends them. */
export const partialFaultSettingsSchema = faultSettingsSchema.partial();

export const defaultFaultSettings = (): FaultSettings => ({
  latencyMs: 0,
  rolePropagationMs: 0,
  keyPropagationMs: 0,
  replicationDelayMs: 0,
  trailDelayMs: 0,
  faults: [],
});

const THROTTLING_ERRORS = {
  s3: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
  iam: { status: 400, code: 'Throttling', message: 'Rate exceeded' },
  sts: { status: 400, code: 'Throttling', message: 'Rate exceeded' },
  kms: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
  cloudtrail: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
};

/** Counts the calls that each fault has seen, and says which one strikes now. */
export function createFaultPicker(settings: FaultSettings) {
  const callCounts = new WeakMap<InjectedFault, number>();
  return (
    service: keyof typeof THROTTLING_ERRORS,
    operation: string,
  ): Exclude<InjectedFault['what'], 'throttle'> | undefined => {
    let effect: Exclude<InjectedFault['what'], 'throttle'> | undefined;
    for (const fault of settings.faults) {
      if (fault.match !== '*' && fault.match !== service && fault.match !== operation) continue;
      const count = (callCounts.get(fault) ?? 0) + 1;
      callCounts.set(fault, count);
      if (count < fault.nth || count >= fault.nth + (fault.times ?? 1)) continue;
      effect ??= fault.what === 'throttle' ? THROTTLING_ERRORS[service] : fault.what;
    }
    return effect;
  };
}
