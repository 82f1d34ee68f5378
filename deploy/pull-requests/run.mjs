// Runs replikey in a pipeline: what is asked comes from the environment, never from a script, and what came of it is
// left in files, in the outputs of the step and in the summary of the run.
//
//   REPLIKEY_COMMAND     plan, apply, doctor or observe
//   REPLIKEY_SPECS       paths of specs, with white space between them
//   REPLIKEY_ARGUMENTS   more words for the command line
//   REPLIKEY_OBSERVED    plan: made from this file; observe: where it is written
//   REPLIKEY_PLAN        apply: the checksum of the plan
//   REPLIKEY_RESULTS     a folder for plan.md, plan.json, plan.sarif, apply.md, doctor.sarif; absent: a new one
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';

const MAIN = path.resolve(import.meta.dirname, '../../dist/main.js');

/** The first line of every plan as Markdown, by which the comment is found again. */
const MARKER = '<!-- replikey: plan -->';

/** A comment on GitHub holds 65,536 characters, a summary 1 MiB. */
const MOST = { comment: 50_000, summary: 250_000 };

const MEANINGS = {
  3: 'refused by a safety rail',
  4: 'no usable credentials, or those of another account than declared',
  64: 'unusable arguments',
  65: 'invalid specs',
  130: 'interrupted',
  143: 'interrupted',
};

const { env } = process;
const words = (text = '') => text.split(/\s+/).filter((word) => word !== '');
const specs = words(env.REPLIKEY_SPECS || 'specs/');
const more = words(env.REPLIKEY_ARGUMENTS);

/** How each command is said, and what becomes of what it prints. */
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
    async keep({ code, stdout, stderr }, { results, planFile, sarifFile }) {
      const markdown = path.join(results, 'plan.md');
      await writeFile(markdown, stdout.startsWith(MARKER) ? stdout : noPlan(code, stderr));
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
    async keep({ code, stdout, stderr }, { results }) {
      const markdown = path.join(results, 'apply.md');
      const end = code === 0 ? 'applied' : code === 3 ? 'refused, nothing was changed' : 'not applied';
      const said = stdout.trim() === '' ? stderr : stdout;
      await writeFile(markdown, `### replikey: ${end}\n\n${fenced(said, MOST.summary)}\n`);
      return { markdown };
    },
  },
  doctor: {
    args: () => ['doctor', '--output=sarif'],
    async keep({ stdout }, { results }) {
      if (stdout === '') return {};
      const file = path.join(results, 'doctor.sarif');
      await writeFile(file, stdout);
      const found = JSON.parse(stdout).runs.flatMap((run) => run.results);
      const lines = found.map(({ level, ruleId, message }) => `${level} ${ruleId} ${message.text}`);
      const text = lines.length === 0 ? 'Nothing was found.' : fenced(lines.join('\n'), MOST.summary);
      return { file, summary: `### replikey doctor\n\n${text}\n` };
    },
  },
  observe: {
    args: ({ observed }) => ['observe', `--out=${observed}`],
    keep: async ({ code }, { observed }) => (code === 0 ? { file: observed } : {}),
  },
};

/** In place of a plan, under the same marker, so that the comment never shows a plan that does not hold any more. */
function noPlan(code, said) {
  const why = MEANINGS[code] ? ` (${MEANINGS[code]})` : '';
  return [
    MARKER,
    '### replikey: no plan could be made',
    `It ended with exit code ${code}${why}:`,
    fenced(said, MOST.comment),
  ].join('\n\n');
}

/** A block that nothing inside can end. */
function fenced(text, most) {
  const shown = text.length > most ? `${text.slice(0, most).toWellFormed()}\n…` : text;
  const longest = Math.max(2, ...shown.split(/[^`]+/).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${shown.trimEnd()}\n${fence}`;
}

/** Run it, show what it says while it runs, and keep it. */
async function run(args, shown) {
  // The token is for comments alone.
  const { REPLIKEY_TOKEN: _, ...rest } = env;
  const child = spawn(process.execPath, [MAIN, ...args], { env: rest, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      said[stream] += text;
      if (shown.includes(stream)) process[stream].write(text);
    });
  }
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve(status ?? 128 + constants.signals[signal]));
  });
  return { code, ...said };
}

/** What is printed meanwhile may hold words of others: GitHub must not take a line of them for a command. */
async function withoutCommands(body) {
  if (env.GITHUB_ACTIONS !== 'true') return body();
  const word = randomUUID();
  process.stdout.write(`::stop-commands::${word}\n`);
  try {
    return await body();
  } finally {
    process.stdout.write(`\n::${word}::\n`);
  }
}

async function main() {
  const command = Object.hasOwn(COMMANDS, env.REPLIKEY_COMMAND ?? '') && COMMANDS[env.REPLIKEY_COMMAND];
  if (!command) return refuse(`command: one of ${Object.keys(COMMANDS).join(', ')}`);
  if (env.REPLIKEY_COMMAND === 'apply' && !/^[0-9a-f]{16,64}$/.test(env.REPLIKEY_PLAN ?? ''))
    return refuse('plan: the checksum of the plan to apply, 16 to 64 hexadecimal digits');
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
  const shown = env.REPLIKEY_COMMAND === 'apply' ? ['stdout', 'stderr'] : ['stderr'];
  const ended = await withoutCommands(() => run([...command.args(files), ...more, '--', ...specs], shown));
  const { summary, ...kept } = await command.keep(ended, files);
  await append(
    env.GITHUB_STEP_SUMMARY,
    summary ?? (kept.markdown && (await readFile(kept.markdown, 'utf8'))),
  );
  const outputs = { ...kept, results, 'exit-code': ended.code };
  await append(
    env.GITHUB_OUTPUT,
    Object.entries(outputs)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n'),
  );
  return ended.code;
}

const append = async (file, text) => file && text && appendFile(file, `${text.trimEnd()}\n`);

function refuse(why) {
  process.stderr.write(`replikey: ${why}\n`);
  return 64;
}

process.exitCode = await main();
