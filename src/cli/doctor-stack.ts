import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { EXIT, systemErrorReason, UserError } from '../errors.ts';
import { cloudFormationStack } from '../iac/cloudformation-stack.ts';
import { evaluateTemplate, parseTemplate } from '../iac/cloudformation-template.ts';
import type { Stack } from '../iac/stack.ts';
import { proveStack } from '../iac/stack-proof.ts';
import { toTerraformDocument } from '../iac/terraform-document.ts';
import { terraformStack } from '../iac/terraform-stack.ts';
import type { RuleProof } from '../proof/types.ts';
import { nameOfInput, type StackInput, stackText } from '../report/stack-text.ts';
import { createPaint } from '../report/style.ts';
import { safeJson } from '../util/escape.ts';
import { parseJson, readJson } from '../util/files.ts';
import type { Io } from './command-model.ts';
import type { DoctorOptions } from './diagnosis.ts';
import { doctorExitCode, sarifText } from './output.ts';

/** Options of `doctor --terraform`. */
export interface StackOptions {
  /** A plan or a state from `terraform show -json`; `-`: standard input. */
  terraform?: string;
  /** A template of CloudFormation in JSON or YAML; `-`: standard input. */
  cloudformation?: string;
  /** The output of `aws cloudformation describe-stacks` for the template. */
  stack?: string;
}

type DoctorStackOptions = DoctorOptions & StackOptions;

/** `reconcile doctor --terraform FILE` or `--cloudformation FILE`: proves the rules of another tool, without AWS. */
export async function runDoctorStack(
  paths: readonly string[],
  options: DoctorStackOptions,
  io: Io,
): Promise<number> {
  rejectOtherInputs(paths, options);
  const { output } = options;
  if (output === 'csv' || output === 'html')
    throw new UserError(EXIT.usage, `-o ${output} requires --all: use text, json or sarif`);
  const { input, stack } =
    options.cloudformation === undefined
      ? await loadTerraform(options.terraform ?? '-', io)
      : await loadCloudFormation(options.cloudformation, options, io);
  const { rules, unknownValues } = proveStack(
    stack,
    input.type === 'terraform-state' ? Date.now() : undefined,
  );
  const selected = selectRules(rules, options.bucket, input);
  const renderers = {
    text: () =>
      stackText(
        { input, rules: selected, unknownValues },
        { verbose: options.verbose ?? false, allowUnproven: options.allowUnproven ?? false },
        createPaint(io.stdout, io.env),
      ),
    json: () =>
      safeJson(
        { format: 1, input, rules: selected, objects: [], metrics: [], unknownValues, commands: [] },
        2,
      ),
    sarif: () => sarifText(selected, [], input.file),
  };
  io.stdout.write(`${renderers[output]()}\n`);
  if (selected.length > 0) return doctorExitCode(selected, options);
  if (options.allowUnproven) return EXIT.ok;
  io.stderr.write(
    `nothing proven: ${nameOfInput(input)} contains no replication rules; check the file, or accept it with --allow-unproven\n`,
  );
  return EXIT.failed;
}

/** Maximum number of buckets in a message. */
const MAX_LISTED_BUCKETS = 20;

/**
 * Returns the rules of some source buckets; all rules if `buckets` is empty.
 *
 * @throws UserError if a bucket has no rules, but others have.
 */
function selectRules(
  rules: readonly RuleProof[],
  buckets: readonly string[],
  input: StackInput,
): RuleProof[] {
  const sources = [...new Set(rules.map(({ bucket }) => bucket))];
  const missing = buckets.filter((bucket) => !sources.includes(bucket));
  if (missing.length > 0 && sources.length > 0) {
    const more = sources.length - MAX_LISTED_BUCKETS;
    throw new UserError(
      EXIT.usage,
      `cannot select ${missing.join(', ')}: no source bucket of ${nameOfInput(input)}; it has ${sources.slice(0, MAX_LISTED_BUCKETS).join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    );
  }
  return rules.filter(({ bucket }) => buckets.length === 0 || buckets.includes(bucket));
}

/** @throws UserError for an option that has no effect on a file of another tool. */
function rejectOtherInputs(paths: readonly string[], options: DoctorStackOptions): void {
  const otherInputs = [
    ...(paths.length > 0 ? ['specs'] : []),
    ...(options.observed === undefined ? [] : ['--observed']),
    ...(options.object === undefined ? [] : ['--object']),
    ...(options.sandbox ? ['--sandbox'] : []),
    ...(options.sample === undefined ? [] : ['--sample']),
    ...(options.failedSince === undefined ? [] : ['--failed-since']),
    ...(options.organizationAccount === undefined ? [] : ['--organization-account']),
    // The Regions of a plan or a state are in its resources and providers.
    ...(options.region !== undefined && options.terraform !== undefined ? ['--region'] : []),
    ...(options.terraform !== undefined && options.cloudformation !== undefined ? ['--cloudformation'] : []),
  ];
  if (options.stack !== undefined && options.cloudformation === undefined)
    throw new UserError(EXIT.usage, '--stack describes a template: add --cloudformation FILE');
  if (otherInputs.length > 0)
    throw new UserError(
      EXIT.usage,
      `${options.terraform === undefined ? '--cloudformation' : '--terraform'} proves its file alone: use it without ${otherInputs.join(' and ')}`,
    );
}

async function loadTerraform(file: string, io: Io): Promise<{ input: StackInput; stack: Stack }> {
  const name = file === '-' ? 'standard input' : file;
  const document = toTerraformDocument(parseJson(await readInputText(file, name, io), name), name);
  const { type, terraformVersion: version } = document;
  return {
    input: { type: `terraform-${type}`, file, ...(version !== '' && { version }) },
    stack: terraformStack(document),
  };
}

/** Digits for the account of a template without `--stack`; the proof tries every other account in its place. */
const UNKNOWN_ACCOUNT = '900000000001';

async function loadCloudFormation(
  file: string,
  { stack: stackFile, region }: DoctorStackOptions,
  io: Io,
): Promise<{ input: StackInput; stack: Stack }> {
  const name = file === '-' ? 'standard input' : file;
  const template = parseTemplate(await readInputText(file, name, io), name);
  const description = stackFile === undefined ? undefined : await readJson(stackFile);
  const evaluated = evaluateTemplate({
    template,
    description,
    region,
    unknownAccount: UNKNOWN_ACCOUNT,
    file: name,
  });
  return { input: { type: 'cloudformation', file }, stack: cloudFormationStack(evaluated, UNKNOWN_ACCOUNT) };
}

/** Reads a text file in UTF-8, or in UTF-16 as PowerShell writes the output of a program. */
async function readInputText(file: string, name: string, io: Io): Promise<string> {
  if (file === '')
    throw new UserError(
      EXIT.usage,
      'the name of the file to prove is empty; name a file, or - for standard input',
    );
  let bytes: Buffer;
  try {
    bytes = file === '-' ? await buffer(io.stdin) : await readFile(file);
  } catch (error) {
    throw new UserError(EXIT.usage, `cannot read ${name}: ${systemErrorReason(error as Error)}`, {
      cause: error,
    });
  }
  if (bytes.length === 0)
    throw new UserError(EXIT.usage, `${name} is empty: check the command that writes it`);
  // A saved plan is a ZIP archive.
  if (bytes.subarray(0, 2).toString('latin1') === 'PK')
    throw new UserError(
      EXIT.usage,
      `cannot use ${name}: it is a saved plan, whose form is internal to Terraform; write it as JSON with \`terraform show -json ${file === '-' ? 'plan.bin' : file} > plan.json\``,
    );
  try {
    const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
    return bytes.toString(isUtf16 ? 'utf16le' : 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw new UserError(EXIT.usage, `cannot use ${name}: it is larger than Node.js can read as text`, {
      cause: error,
    });
  }
}
