import { GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { type AwsClient, createAwsClient } from '../../aws/client.ts';
import { createSdkClients } from '../../aws/sdk-clients.ts';
import { runCanaries } from '../../canary/canary.ts';
import { EXIT } from '../../errors.ts';
import type { Policy } from '../../iam/types.ts';
import { kinds } from '../../kinds/index.ts';
import { type PassOptions, reconcile } from '../../reconcile/reconcile.ts';
import { canaryText, outcomeText } from '../../report/outcome-text.ts';
import { planText } from '../../report/plan-text.ts';
import { createPaint, type Paint, PLAIN_STYLE, wrapText } from '../../report/style.ts';
import { type Sandbox, startSandbox } from '../../sandbox/server.ts';
import { loadSpecs } from '../../spec/load.ts';
import type { Specs } from '../../spec/types.ts';
import type { Io } from '../io.ts';

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

/** `reconcile demo`: the whole story, told by the same functions that the other commands call, on a sandbox in memory. */
export async function runDemo(io: Io, signal: AbortSignal): Promise<number> {
  const paint = createPaint(io.stdout, io.env);
  const print = (text: string) => io.stdout.write(`${text}\n`);
  const sandbox = await startSandbox();
  const clients = createSdkClients([], {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: '000000000000', secretAccessKey: 'sandbox' },
  });
  try {
    const aws = createAwsClient({ clients, accounts: [], region: 'us-east-1', signal });
    const demo = new Demo(await parseDemoSpec(DEMO_SPEC), aws, sandbox, paint, print, signal);
    return await demo.run();
  } finally {
    clients.destroy();
    await sandbox.close();
  }
}

/** One chapter after the other; the first that does not end as it should ends the story with a failure. */
class Demo {
  readonly #specs: Specs;
  readonly #aws: AwsClient;
  readonly #sandbox: Sandbox;
  readonly #paint: Paint;
  readonly #print: (text: string) => void;
  readonly #signal: AbortSignal;
  #stepNumber = 0;

  constructor(
    specs: Specs,
    aws: AwsClient,
    sandbox: Sandbox,
    paint: Paint,
    print: (text: string) => void,
    signal: AbortSignal,
  ) {
    this.#specs = specs;
    this.#aws = aws;
    this.#sandbox = sandbox;
    this.#paint = paint;
    this.#print = print;
    this.#signal = signal;
  }

  async run(): Promise<number> {
    this.#print(
      `An AWS of its own listens on ${this.#sandbox.endpoint}, empty.\nThis is what we want of it:\n`,
    );
    this.#print(this.#paint.dim(DEMO_SPEC.trimEnd()));

    this.#step('What would change: a dry run');
    await this.#runPass(true);
    this.#step('Make it so');
    const first = await this.#runPass(false);
    this.#step('Again: a second run finds nothing to do, and writes nothing');
    const second = await this.#runPass(false);
    this.#step('Prove it with real objects, with an S3 Bucket Key and without');
    const areCanariesReplicated = await this.#runCanaries();

    this.#step("Break it: somebody takes the objects' ARN out of the condition on the key");
    await this.#breakPolicies();
    const objectStatus = await this.#putObject();
    this.#step('Found as drift, and healed');
    const third = await this.#runPass(false);
    const areCanariesReplicatedAgain = await this.#runCanaries();

    const isSuccess =
      first &&
      second &&
      areCanariesReplicated &&
      objectStatus === 'FAILED' &&
      third &&
      areCanariesReplicatedAgain;
    this.#print(
      `\n${isSuccess ? this.#paint.green('The end.') : this.#paint.red('The story did not end as it should.')} Next: npx reconcile --once specs/tax.yaml --sandbox`,
    );
    return isSuccess ? EXIT.ok : EXIT.failed;
  }

  #step(text: string): void {
    this.#stepNumber += 1;
    this.#print(`\n${this.#paint.bold(`${this.#stepNumber}. ${text}`)}\n`);
  }

  async #runPass(dryRun: boolean): Promise<boolean> {
    const writesBefore = this.#sandbox.log.entries.filter(({ write }) => write).length;
    const options: PassOptions = {
      kinds,
      aws: this.#aws,
      allowedRisks: [],
      dryRun,
      propagationTimeoutMs: 30_000,
      signal: this.#signal,
    };
    const outcome = await reconcile(this.#specs, options);
    const writes = this.#sandbox.log.entries.filter(({ write }) => write).length - writesBefore;
    // The plan was shown in full by the dry run; after that, only what is new is worth reading.
    if (dryRun || this.#stepNumber > 2)
      this.#print(
        planText(outcome.plan, this.#specs.pairs, outcome.proof, { ...PLAIN_STYLE, paint: this.#paint }),
      );
    if (dryRun) return true;
    for (const { id, action } of outcome.results) {
      this.#print(`${this.#paint.green('✓')} ${action === 'create' ? 'created' : 'updated'} ${id}`);
    }
    const summary = outcomeText(outcome, this.#paint);
    if (summary) this.#print(summary);
    this.#print(this.#paint.dim(`${writes} write calls`));
    return (
      outcome.results.every(({ result }) => result === 'applied') &&
      (outcome.remaining?.waves.length ?? 0) === 0
    );
  }

  async #runCanaries(): Promise<boolean> {
    const results = (
      await Promise.all(
        this.#specs.pairs.map((pair) =>
          runCanaries(pair, {
            aws: this.#aws,
            pairs: this.#specs.pairs,
            timeoutMs: 20_000,
            signal: this.#signal,
          }),
        ),
      )
    ).flat();
    for (const result of results) this.#print(canaryText(result, this.#paint));
    return results.every(({ result }) => result === 'replicated');
  }

  /** The walkthrough's own mistake: the encryption context of one sort of object only, in both policies that grant it. */
  async #breakPolicies(): Promise<void> {
    const location = { region: 'us-east-1' };
    const role = { RoleName: 'replikey-acme-tax', PolicyName: 'replikey' };
    const { PolicyDocument = '' } = await this.#aws.send(location, new GetRolePolicyCommand(role));
    const narrowed = restrictToBucketArn(decodeURIComponent(PolicyDocument));
    await this.#aws.send(location, new PutRolePolicyCommand({ ...role, PolicyDocument: narrowed }));

    const { KeyMetadata } = await this.#aws.send(
      location,
      new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }),
    );
    const key = { KeyId: KeyMetadata?.KeyId, PolicyName: 'default' };
    const { Policy = '' } = await this.#aws.send(location, new GetKeyPolicyCommand(key));
    await this.#aws.send(location, new PutKeyPolicyCommand({ ...key, Policy: restrictToBucketArn(Policy) }));
    this.#print(
      'Objects with an S3 Bucket Key still decrypt, others do not.\nAWS accepted it without a word.',
    );
  }

  /** Write an object as an application would, and ask the sandbox what became of it. */
  async #putObject(): Promise<string | undefined> {
    await this.#aws.send(
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
    await this.#sandbox.waitForReplication();
    const [version] = this.#sandbox.store.bucket('acme-tax')?.objects.get('Tax/2026.pdf') ?? [];
    const { status, attempts } = version?.replication ?? {};
    this.#print(
      `Tax/2026.pdf: ${this.#paint.red(status ?? 'not replicated')}, ${attempts?.[0]?.reason ?? ''}`,
    );
    const { detail } = attempts?.[0] ?? {};
    if (detail) this.#print(wrapText('  ', detail, PLAIN_STYLE.width, { paint: this.#paint.dim }).join('\n'));
    return status;
  }
}

/** Only the bucket's ARN is left of the encryption contexts on the source. */
function restrictToBucketArn(text: string): string {
  const policy = JSON.parse(text) as Policy;
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
  if (!specs) throw new Error('the spec of the demo is not valid');
  return specs;
}
