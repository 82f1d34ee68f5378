// Runs replikey in a pipeline. Reads its parameters from the environment, so that no input becomes part of a script.
// Writes the results to files, to the outputs of the step and to the summary of the run.
//
//   REPLIKEY_COMMAND     plan, apply, doctor or observe
//   REPLIKEY_SPECS       paths of specs, separated by white space
//   REPLIKEY_ARGUMENTS   additional command-line arguments
//   REPLIKEY_OBSERVED    plan: snapshot file to read; observe: snapshot file to write
//   REPLIKEY_TERRAFORM   doctor: plan or state of Terraform to prove, in place of specs
//   REPLIKEY_PLAN        apply: checksum of the plan
//   REPLIKEY_RESULTS     folder for plan.md, plan.json, plan.sarif, apply.md and doctor.sarif; default: a new folder
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';

const MAIN = path.resolve(import.meta.dirname, '../../dist/main.js');

/** First line of every plan as Markdown. It identifies the comment. */
const MARKER = '<!-- replikey: plan -->';

/** Maximum lengths in characters. GitHub allows 65,536 characters in a comment and 1 MiB in a summary. */
const MAX_LENGTH = { comment: 50_000, summary: 250_000 };

const EXIT_CODE_MEANINGS = {
  3: 'refused by a guard',
  4: 'no usable credentials, or credentials of the wrong account',
  64: 'invalid arguments',
  65: 'invalid specs',
  130: 'interrupted',
  143: 'interrupted',
};

const { env } = process;
const splitWords = (text = '') => text.split(/\s+/).filter((word) => word !== '');
const isTerraform = env.REPLIKEY_COMMAND === 'doctor' && Boolean(env.REPLIKEY_TERRAFORM);
const specs = isTerraform ? [] : splitWords(env.REPLIKEY_SPECS || 'specs/');
const additionalArgs = splitWords(env.REPLIKEY_ARGUMENTS);

/** By command: the arguments, and a function that stores the results. */
const COMMANDS = {
  plan: {
    args: ({ planFile, sarifFile }) => [
      '--dry-run',
      '--output=markdown',
      `--out=${planFile}`,
      `--sarif=${sarifFile}`,
      '--log-level=error',
      ...(env.REPLIKEY_OBSERVED ? [`--observed=${env.REPLIKEY_OBSERVED}`] : []),
    ],
    async store({ code, stdout, stderr }, { results, planFile, sarifFile }) {
      const markdown = path.join(results, 'plan.md');
      await writeFile(markdown, stdout.startsWith(MARKER) ? stdout : failedPlan(code, stderr));
      const plan = await readFile(planFile, 'utf8').then(JSON.parse, () => undefined);
      return {
        markdown,
        checksum: plan?.digest ?? '',
        changes: plan?.waves.flat().length ?? '',
        ...(plan && { file: sarifFile }),
      };
    },
  },
  apply: {
    args: () => ['--once', `--plan=${env.REPLIKEY_PLAN}`],
    async store({ code, stdout, stderr }, { results }) {
      const markdown = path.join(results, 'apply.md');
      const result = code === 0 ? 'applied' : code === 3 ? 'refused, no changes made' : 'not applied';
      const output = stdout.trim() === '' ? stderr : stdout;
      await writeFile(markdown, `### replikey: ${result}\n\n${fencedBlock(output, MAX_LENGTH.summary)}\n`);
      return { markdown };
    },
  },
  doctor: {
    args: () => [
      'doctor',
      '--output=sarif',
      ...(isTerraform ? [`--terraform=${env.REPLIKEY_TERRAFORM}`] : []),
    ],
    async store({ stdout }, { results }) {
      if (stdout === '') return {};
      const file = path.join(results, 'doctor.sarif');
      await writeFile(file, stdout);
      const findings = JSON.parse(stdout).runs.flatMap((run) => run.results);
      const lines = findings.map(({ level, ruleId, message }) => `${level} ${ruleId} ${message.text}`);
      const text = lines.length === 0 ? 'No findings.' : fencedBlock(lines.join('\n'), MAX_LENGTH.summary);
      return { file, summary: `### replikey doctor\n\n${text}\n` };
    },
  },
  observe: {
    args: ({ observed }) => ['observe', `--out=${observed}`],
    store: async ({ code }, { observed }) => (code === 0 ? { file: observed } : {}),
  },
};

/** Reports a failed plan under the same marker, so that the comment never shows an outdated plan. */
function failedPlan(code, stderr) {
  const meaning = EXIT_CODE_MEANINGS[code] ? ` (${EXIT_CODE_MEANINGS[code]})` : '';
  return [
    MARKER,
    '### replikey: the plan failed',
    `replikey exited with exit code ${code}${meaning}:`,
    fencedBlock(stderr, MAX_LENGTH.comment),
  ].join('\n\n');
}

/** Formats a code block with a fence that is longer than any fence in the text. */
function fencedBlock(text, maxLength) {
  const content = text.length > maxLength ? `${text.slice(0, maxLength).toWellFormed()}\n…` : text;
  const longest = Math.max(2, ...content.split(/[^`]+/).map((backticks) => backticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${content.trimEnd()}\n${fence}`;
}

/** Runs replikey, forwards the given streams while it runs, and returns its output. */
async function run(args, forwardedStreams) {
  // The token is only for comments.
  const { REPLIKEY_TOKEN: _, ...childEnv } = env;
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: childEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      output[stream] += text;
      if (forwardedStreams.includes(stream)) process[stream].write(text);
    });
  }
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve(status ?? 128 + constants.signals[signal]));
  });
  return { code, ...output };
}

/** Stops workflow commands during an operation: its output may contain foreign text that reads as a command. */
async function withoutWorkflowCommands(operation) {
  if (env.GITHUB_ACTIONS !== 'true') return operation();
  const token = randomUUID();
  process.stdout.write(`::stop-commands::${token}\n`);
  try {
    return await operation();
  } finally {
    process.stdout.write(`\n::${token}::\n`);
  }
}

async function main() {
  const command = Object.hasOwn(COMMANDS, env.REPLIKEY_COMMAND ?? '') && COMMANDS[env.REPLIKEY_COMMAND];
  if (!command) return reportUsage(`invalid command: use one of ${Object.keys(COMMANDS).join(', ')}`);
  if (env.REPLIKEY_COMMAND === 'apply' && !/^[0-9a-f]{16,64}$/.test(env.REPLIKEY_PLAN ?? ''))
    return reportUsage('invalid plan: use the checksum of the plan to apply, 16 to 64 hexadecimal digits');
  if (env.REPLIKEY_RESULTS) await mkdir(env.REPLIKEY_RESULTS, { recursive: true });
  const results = path.resolve(
    env.REPLIKEY_RESULTS || (await mkdtemp(path.join(env.RUNNER_TEMP ?? tmpdir(), 'replikey-'))),
  );
  const files = {
    results,
    planFile: path.join(results, 'plan.json'),
    sarifFile: path.join(results, 'plan.sarif'),
    observed: path.resolve(env.REPLIKEY_OBSERVED || 'observed.json'),
  };
  await rm(files.planFile, { force: true });
  const forwardedStreams = env.REPLIKEY_COMMAND === 'apply' ? ['stdout', 'stderr'] : ['stderr'];
  const result = await withoutWorkflowCommands(() =>
    run([...command.args(files), ...additionalArgs, '--', ...specs], forwardedStreams),
  );
  const { summary, ...stored } = await command.store(result, files);
  await append(
    env.GITHUB_STEP_SUMMARY,
    summary ?? (stored.markdown && (await readFile(stored.markdown, 'utf8'))),
  );
  const outputs = { ...stored, results, 'exit-code': result.code };
  await append(
    env.GITHUB_OUTPUT,
    Object.entries(outputs)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n'),
  );
  return result.code;
}

const append = async (file, text) => file && text && appendFile(file, `${text.trimEnd()}\n`);

function reportUsage(message) {
  process.stderr.write(`replikey: ${message}\n`);
  return 64;
}

process.exitCode = await main();
