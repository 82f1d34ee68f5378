import { PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { type AwsClient, createAwsClient } from '../aws/client.ts';
import { createSdkClients } from '../aws/sdk-clients.ts';
import { runCanaries } from '../canary/canary.ts';
import { ROLE_POLICY_NAME } from '../core/ids.ts';
import { EXIT } from '../errors.ts';
import type { Policy } from '../iam/types.ts';
import { fetchInlinePolicy } from '../kinds/iam-role-policy.ts';
import { kinds } from '../kinds/index.ts';
import { requireKey } from '../kinds/kms-key.ts';
import { fetchKeyPolicy } from '../kinds/kms-key-policy.ts';
import type { PassOptions } from '../reconcile/pass.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { canaryText, outcomeText } from '../report/outcome-text.ts';
import { planText } from '../report/plan-text.ts';
import { createPaint, type Paint, PLAIN_STYLE, wrapText } from '../report/style.ts';
import { type Sandbox, startSandbox } from '../sandbox/server.ts';
import { loadSpecs } from '../spec/load.ts';
import type { Specs } from '../spec/types.ts';
import type { Io } from './command-model.ts';

const DEMO_SPEC = `apiVersion: replikey.dev/v1
kind: BucketReplication
metadata:
  name: tax
spec:
  source:      { bucket: acme-tax,         region: us-east-1, key: alias/acme-tax }
  destination: { bucket: acme-tax-replica, region: us-west-2, key: alias/acme-tax-replica }
  rules:
    - prefix: Tax/
`;

/** A run of the demo: its sandbox and its output. */
interface DemoContext {
  specs: Specs;
  aws: AwsClient;
  sandbox: Sandbox;
  paint: Paint;
  print(text: string): void;
  signal: AbortSignal;
}

/**
 * `reconcile demo`: runs the walkthrough on a sandbox in memory, with the same functions as the other commands. A step
 * with an unexpected result ends the demo with a failure.
 */
export async function runDemo(io: Io, signal: AbortSignal): Promise<number> {
  const paint = createPaint(io.stdout, io.env);
  const print = (text: string) => void io.stdout.write(`${text}\n`);
  const sandbox = await startSandbox();
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    isSandbox: true,
    credentials: { accessKeyId: '000000000000', secretAccessKey: 'sandbox' },
  });
  try {
    const aws = createAwsClient({ clients, accounts: [], region: 'us-east-1', signal });
    const specs = await parseDemoSpec(DEMO_SPEC);
    const isSuccess = await runDemoSteps({ specs, aws, sandbox, paint, print, signal });
    print(
      `\n${isSuccess ? paint.green('Demo completed.') : paint.red('Demo failed: a step had an unexpected result.')} Next: npx reconcile --once specs/tax.yaml --sandbox`,
    );
    return isSuccess ? EXIT.ok : EXIT.failed;
  } finally {
    clients.destroy();
    await sandbox.close();
  }
}

/** Returns whether every step had the expected result. */
async function runDemoSteps(demo: DemoContext): Promise<boolean> {
  const { sandbox, paint, print } = demo;
  let stepCount = 0;
  const step = <T>(title: string, body: () => Promise<T>): Promise<T> => {
    stepCount += 1;
    print(`\n${paint.bold(`${stepCount}. ${title}`)}\n`);
    return body();
  };
  print(`Started an empty sandbox at ${sandbox.endpoint}. Desired configuration:\n`);
  print(paint.dim(DEMO_SPEC.trimEnd()));

  await step('Plan the changes: a dry run', () => runDemoPass(demo, { dryRun: true }));
  // The dry run printed the full plan.
  const first = await step('Apply the changes', () => runDemoPass(demo, { withoutPlan: true }));
  const second = await step('Run again: no changes, no write calls', () => runDemoPass(demo));
  const areCanariesReplicated = await step(
    'Verify with canary objects, with and without an S3 Bucket Key',
    () => runDemoCanaries(demo),
  );
  const objectStatus = await step(
    "Break it: remove the objects' ARN from the conditions on the source key",
    async () => {
      await breakPolicies(demo);
      return putDemoObject(demo);
    },
  );
  const isCorrected = await step('Detect the drift, and correct it', async () => {
    const isConverged = await runDemoPass(demo);
    return (await runDemoCanaries(demo)) && isConverged;
  });
  return first && second && areCanariesReplicated && objectStatus === 'FAILED' && isCorrected;
}

/** Returns whether the pass applied every change and left no difference. */
async function runDemoPass(
  { specs, aws, sandbox, paint, print, signal }: DemoContext,
  { dryRun = false, withoutPlan = false } = {},
): Promise<boolean> {
  const countWrites = () => sandbox.log.entries.filter(({ write }) => write).length;
  const writesBefore = countWrites();
  const options: PassOptions = {
    kinds,
    aws,
    allowedRisks: [],
    dryRun,
    propagationTimeoutMs: 30_000,
    signal,
  };
  const outcome = await reconcile(specs, options);
  const writes = countWrites() - writesBefore;
  if (!withoutPlan) print(planText(outcome.plan, specs.pairs, outcome.proof, { ...PLAIN_STYLE, paint }));
  if (dryRun) return true;
  for (const { id, action } of outcome.results) {
    print(`${paint.green('✓')} ${action === 'create' ? 'created' : 'updated'} ${id}`);
  }
  const summary = outcomeText(outcome, paint);
  if (summary) print(summary);
  print(paint.dim(`${writes} write calls`));
  return (
    outcome.results.every(({ result }) => result === 'applied') &&
    (outcome.remaining?.waves.length ?? 0) === 0
  );
}

async function runDemoCanaries({ specs, aws, paint, print, signal }: DemoContext): Promise<boolean> {
  const results = (
    await Promise.all(
      specs.pairs.map((pair) =>
        runCanaries(pair, { aws, specs, allowedRisks: [], timeoutMs: 20_000, signal }),
      ),
    )
  ).flat();
  for (const result of results) print(canaryText(result, paint));
  return results.every(({ result }) => result === 'replicated');
}

/**
 * Makes the mistake of the walkthrough: in both policies that grant it, allows the encryption context of only one type
 * of object.
 */
async function breakPolicies({ aws, print }: DemoContext): Promise<void> {
  const location = { region: 'us-east-1' };
  const role = { RoleName: 'replikey-acme-tax', PolicyName: ROLE_POLICY_NAME };
  const rolePolicy = await fetchInlinePolicy(aws, location, role.RoleName, role.PolicyName);
  const narrowed = restrictToBucketArn(rolePolicy);
  await aws.send(location, new PutRolePolicyCommand({ ...role, PolicyDocument: narrowed }));

  const { Arn = '' } = await requireKey(aws, location, 'alias/acme-tax');
  const keyPolicy = await fetchKeyPolicy(aws, location, Arn);
  const key = { KeyId: Arn, PolicyName: 'default' };
  await aws.send(location, new PutKeyPolicyCommand({ ...key, Policy: restrictToBucketArn(keyPolicy) }));
  print(
    'S3 can still decrypt objects with an S3 Bucket Key, but no others.\nAWS accepted the change without an error.',
  );
}

/** Writes an object as an application would, and returns the replication status that the sandbox gives it. */
async function putDemoObject({ aws, sandbox, paint, print }: DemoContext): Promise<string | undefined> {
  await aws.send(
    { region: 'us-east-1' },
    new PutObjectCommand({
      Bucket: 'acme-tax',
      Key: 'Tax/2026.pdf',
      Body: 'an object that matters',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'alias/acme-tax',
      BucketKeyEnabled: false,
    }),
  );
  await sandbox.waitForReplication();
  const [version] = sandbox.store.bucket('acme-tax')?.objects.get('Tax/2026.pdf') ?? [];
  const { status, attempts } = version?.replication ?? {};
  const { reason = '', detail } = attempts?.[0] ?? {};
  print(`Tax/2026.pdf: ${paint.red(status ?? 'not replicated')}, ${reason}`);
  if (detail) print(wrapText('  ', detail, PLAIN_STYLE.width, { paint: paint.dim }).join('\n'));
  return status;
}

/** Returns a policy that allows only the bucket's ARN as an encryption context on the source. */
function restrictToBucketArn(source: Policy): string {
  const policy = structuredClone(source);
  for (const statement of [policy.Statement].flat()) {
    const context = statement.Condition?.StringLike;
    const name = 'kms:EncryptionContext:aws:s3:arn';
    if (statement.Sid?.startsWith('ReplikeySource') && context?.[name])
      context[name] = 'arn:aws:s3:::acme-tax';
  }
  return JSON.stringify(policy);
}

async function parseDemoSpec(text: string): Promise<Specs> {
  const { specs } = await loadSpecs(['-'], async () => text);
  if (!specs) throw new Error('the spec of the demo is invalid');
  return specs;
}
