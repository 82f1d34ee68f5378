import { EXIT, UserError } from '../errors.ts';
import { kinds } from '../kinds/index.ts';
import type { Outcome, PlannedState } from '../reconcile/pass.ts';
import { recordPlan } from '../script/record.ts';
import { renderScript } from '../script/render.ts';
import type { Specs } from '../spec/types.ts';
import type { Io } from './command-model.ts';
import { type GuardOptions, propagationWaitMs } from './options.ts';
import type { CliSession } from './session.ts';

/**
 * How long a script may be started after it was made, in milliseconds. Replaced permissions get an expiry when the script
 * is made, so they stay for their drain after a start at the end of this time.
 */
const VALIDITY_MS = 24 * 60 * 60_000;

export interface ScriptInputs {
  outcome: Outcome;
  state: PlannedState;
  specs: Specs;
  session: CliSession;
  options: GuardOptions;
  io: Io;
}

/**
 * `plan -o script`: prints the plan as a shell script.
 *
 * @throws UserError for a plan that replikey would not apply either, or whose endpoint a script cannot reach
 */
export async function writeScript({
  outcome: { plan, proof, refusals },
  state,
  specs,
  session: { aws, target },
  options,
  io,
}: ScriptInputs): Promise<void> {
  if (refusals.length > 0)
    throw new UserError(
      EXIT.refused,
      `no script was made, because the plan is refused: ${refusals.map(({ message }) => message).join('; ')}; see 'reconcile plan' without -o script`,
    );
  const { endpoint } = plan.target;
  if (endpoint === 'sandbox')
    throw new UserError(
      EXIT.usage,
      "no script was made, because the AWS CLI cannot reach the sandbox of --sandbox: start 'reconcile sandbox', and set AWS_ENDPOINT_URL",
    );
  if (endpoint.includes(', '))
    throw new UserError(
      EXIT.usage,
      `no script was made, because the services have different endpoints (${endpoint}): set AWS_ENDPOINT_URL alone`,
    );
  if (plan.waves.length + plan.housekeeping.length === 0)
    io.stderr.write('Nothing to do: the script contains no changes.\n');
  const nowMs = aws.now();
  const recording = await recordPlan({
    plan,
    ...state,
    kinds,
    aws: aws.readOnly().withCache(),
    retainFromMs: nowMs + VALIDITY_MS,
  });
  const script = renderScript(recording, {
    digest: plan.digest,
    accountIds: plan.target.accounts,
    accounts: specs.accounts,
    target: target(),
    ...(endpoint === 'aws' ? {} : { endpoint }),
    madeAt: new Date(nowMs),
    validUntil: new Date(nowMs + VALIDITY_MS),
    remarks: [
      ...proof.map(
        ({ bucket, rule, verdict, requests }) =>
          `Proof: ${bucket} ${rule} is ${verdict} after the plan (${requests} requests).`,
      ),
      ...plan.notes.map(({ id, message }) => `Note: ${id}: ${message}`),
      ...plan.handover.map(({ account, what }) => `By hand in account ${account}: ${what}.`),
    ],
    propagationWaitSeconds: propagationWaitMs(options, endpoint) / 1000,
  });
  io.stdout.write(script);
}
