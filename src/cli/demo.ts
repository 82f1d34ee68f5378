import { GetRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { createClients } from '../aws/clients.ts';
import { createDoor, type Door } from '../aws/door.ts';
import { EXIT } from '../errors.ts';
import type { Policy } from '../iam/types.ts';
import { kinds } from '../kinds/index.ts';
import { type PassOptions, reconcile } from '../reconcile.ts';
import { canaryText } from '../report/canary-text.ts';
import { outcomeText } from '../report/outcome-text.ts';
import { type Paint, paintFor } from '../report/paint.ts';
import { PLAIN } from '../report/style.ts';
import { planText } from '../report/text.ts';
import { wrapped } from '../report/wrapped.ts';
import { type Sandbox, startSandbox } from '../sandbox/server.ts';
import { loadSpecs } from '../spec/load.ts';
import type { Specs } from '../spec/types.ts';
import { canaries } from '../steps/canary.ts';
import type { Io } from './io.ts';

const SPEC = `apiVersion: replikey.dev/v1
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
export async function demo(io: Io, signal: AbortSignal): Promise<number> {
  const paint = paintFor(io.stdout, io.env);
  const say = (text: string) => io.stdout.write(`${text}\n`);
  const sandbox = await startSandbox();
  const clients = createClients([], {
    endpoint: sandbox.endpoint,
    credentials: { accessKeyId: '000000000000', secretAccessKey: 'sandbox' },
  });
  try {
    const door = createDoor({ clients, accounts: [], region: 'us-east-1', signal });
    const story = new Story(await specsOf(SPEC), door, sandbox, paint, say, signal);
    return await story.tell();
  } finally {
    clients.destroy();
    await sandbox.close();
  }
}

/** One chapter after the other; the first that does not end as it should ends the story with a failure. */
class Story {
  readonly #specs: Specs;
  readonly #door: Door;
  readonly #sandbox: Sandbox;
  readonly #paint: Paint;
  readonly #say: (text: string) => void;
  readonly #signal: AbortSignal;
  #chapter = 0;

  constructor(
    specs: Specs,
    door: Door,
    sandbox: Sandbox,
    paint: Paint,
    say: (text: string) => void,
    signal: AbortSignal,
  ) {
    this.#specs = specs;
    this.#door = door;
    this.#sandbox = sandbox;
    this.#paint = paint;
    this.#say = say;
    this.#signal = signal;
  }

  async tell(): Promise<number> {
    this.#say(
      `An AWS of its own listens on ${this.#sandbox.endpoint}, empty.\nThis is what we want of it:\n`,
    );
    this.#say(this.#paint.dim(SPEC.trimEnd()));

    this.#title('What would change: a dry run');
    await this.#pass(true);
    this.#title('Make it so');
    const first = await this.#pass(false);
    this.#title('Again: a second run finds nothing to do, and writes nothing');
    const second = await this.#pass(false);
    this.#title('Prove it with real objects, with an S3 Bucket Key and without');
    const proven = await this.#canaries();

    this.#title("Break it: somebody takes the objects' ARN out of the condition on the key");
    await this.#breakPolicies();
    const failed = await this.#putReport();
    this.#title('Found as drift, and healed');
    const third = await this.#pass(false);
    const healed = await this.#canaries();

    const good = first && second && proven && failed === 'FAILED' && third && healed;
    this.#say(
      `\n${good ? this.#paint.green('The end.') : this.#paint.red('The story did not end as it should.')} Next: npx reconcile --once specs/tax.yaml --sandbox`,
    );
    return good ? EXIT.ok : EXIT.failed;
  }

  #title(text: string): void {
    this.#chapter += 1;
    this.#say(`\n${this.#paint.bold(`${this.#chapter}. ${text}`)}\n`);
  }

  async #pass(dryRun: boolean): Promise<boolean> {
    const before = this.#sandbox.log.entries.filter(({ write }) => write).length;
    const options: PassOptions = {
      kinds,
      door: this.#door,
      allow: [],
      dryRun,
      waitMs: 30_000,
      signal: this.#signal,
    };
    const outcome = await reconcile(this.#specs, options);
    const writes = this.#sandbox.log.entries.filter(({ write }) => write).length - before;
    // The plan was shown in full by the dry run; after that, only what is new is worth reading.
    if (dryRun || this.#chapter > 2)
      this.#say(planText(outcome.plan, this.#specs.pairs, outcome.proof, { ...PLAIN, paint: this.#paint }));
    if (dryRun) return true;
    for (const { id, action } of outcome.results) {
      this.#say(`${this.#paint.green('✓')} ${action === 'create' ? 'created' : 'updated'} ${id}`);
    }
    const end = outcomeText(outcome, this.#paint);
    if (end) this.#say(end);
    this.#say(this.#paint.dim(`${writes} write calls`));
    return (
      outcome.results.every(({ result }) => result === 'applied') && (outcome.left?.waves.length ?? 0) === 0
    );
  }

  async #canaries(): Promise<boolean> {
    const results = (
      await Promise.all(
        this.#specs.pairs.map((pair) =>
          canaries(pair, {
            door: this.#door,
            pairs: this.#specs.pairs,
            timeoutMs: 20_000,
            signal: this.#signal,
          }),
        ),
      )
    ).flat();
    for (const result of results) this.#say(canaryText(result, this.#paint));
    return results.every(({ result }) => result === 'replicated');
  }

  /** The walkthrough's own mistake: the encryption context of one sort of object only, in both policies that grant it. */
  async #breakPolicies(): Promise<void> {
    const at = { region: 'us-east-1' };
    const role = { RoleName: 'replikey-acme-tax', PolicyName: 'replikey' };
    const { PolicyDocument = '' } = await this.#door.send(at, new GetRolePolicyCommand(role));
    const narrowed = narrow(decodeURIComponent(PolicyDocument));
    await this.#door.send(at, new PutRolePolicyCommand({ ...role, PolicyDocument: narrowed }));

    const { KeyMetadata } = await this.#door.send(at, new DescribeKeyCommand({ KeyId: 'alias/acme-tax' }));
    const key = { KeyId: KeyMetadata?.KeyId, PolicyName: 'default' };
    const { Policy = '' } = await this.#door.send(at, new GetKeyPolicyCommand(key));
    await this.#door.send(at, new PutKeyPolicyCommand({ ...key, Policy: narrow(Policy) }));
    this.#say('Objects with an S3 Bucket Key still decrypt, others do not.\nAWS accepted it without a word.');
  }

  /** Write an object as an application would, and ask the sandbox what became of it. */
  async #putReport(): Promise<string | undefined> {
    await this.#door.send(
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
    await this.#sandbox.replicated();
    const [version] = this.#sandbox.store.bucket('acme-tax')?.objects.get('Tax/2026.pdf') ?? [];
    const { status, attempts } = version?.replication ?? {};
    this.#say(`Tax/2026.pdf: ${this.#paint.red(status ?? 'not replicated')}, ${attempts?.[0]?.reason ?? ''}`);
    const { detail } = attempts?.[0] ?? {};
    if (detail) this.#say(wrapped('  ', detail, PLAIN.width, { paint: this.#paint.dim }).join('\n'));
    return status;
  }
}

/** Only the bucket's ARN is left of the encryption contexts on the source. */
function narrow(text: string): string {
  const policy = JSON.parse(text) as Policy;
  for (const statement of [policy.Statement].flat()) {
    const context = statement.Condition?.StringLike;
    const name = 'kms:EncryptionContext:aws:s3:arn';
    if (statement.Sid?.startsWith('ReplikeySource') && context?.[name])
      context[name] = 'arn:aws:s3:::acme-tax';
  }
  return JSON.stringify(policy);
}

async function specsOf(text: string): Promise<Specs> {
  const { specs } = await loadSpecs(['-'], async () => text);
  if (!specs) throw new Error('the spec of the demo is not valid');
  return specs;
}
