import * as z from 'zod';

const ms = z.number().min(0).max(3_600_000);

const fault = z.strictObject({
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
const knobs = z.strictObject({
  /** Added to every answer, in milliseconds. */
  latencyMs: ms,
  /** Until a new role or an inline policy of a role is visible to anybody, in milliseconds. */
  rolePropagationMs: ms,
  /** Until a new key is visible, in milliseconds. */
  keyPropagationMs: ms,
  /** Between the answer to a put and its replication, in milliseconds. */
  replicationDelayMs: ms,
  /** Until CloudTrail tells of a change, in milliseconds. */
  trailDelayMs: ms,
  faults: z.array(fault),
});

export type Knobs = z.output<typeof knobs>;
export type Fault = z.output<typeof fault>;

/** Some of the knobs, as somebody sent them. */
export const someKnobs = knobs.partial();

export const defaultKnobs = (): Knobs => ({
  latencyMs: 0,
  rolePropagationMs: 0,
  keyPropagationMs: 0,
  replicationDelayMs: 0,
  trailDelayMs: 0,
  faults: [],
});

const THROTTLING = {
  s3: { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
  iam: { status: 400, code: 'Throttling', message: 'Rate exceeded' },
  sts: { status: 400, code: 'Throttling', message: 'Rate exceeded' },
  kms: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
  cloudtrail: { status: 400, code: 'ThrottlingException', message: 'Rate exceeded' },
};

/** Counts the calls that each fault has seen, and says which one strikes now. */
export function faultPicker(knobs: Knobs) {
  const seen = new WeakMap<Fault, number>();
  return (
    service: keyof typeof THROTTLING,
    operation: string,
  ): Exclude<Fault['what'], 'throttle'> | undefined => {
    let struck: Exclude<Fault['what'], 'throttle'> | undefined;
    for (const fault of knobs.faults) {
      if (fault.match !== '*' && fault.match !== service && fault.match !== operation) continue;
      const count = (seen.get(fault) ?? 0) + 1;
      seen.set(fault, count);
      if (count < fault.nth || count >= fault.nth + (fault.times ?? 1)) continue;
      struck ??= fault.what === 'throttle' ? THROTTLING[service] : fault.what;
    }
    return struck;
  };
}
