import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { childEnvironment } from '../support/cli.ts';
import { type FakeGitHub, startFakeGitHub, TOKEN } from './pull-requests-github.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');
export const HEAD = 'a'.repeat(40);
export const MERGED = 'b'.repeat(40);

interface Step {
  id?: string;
  name: string;
  if?: string;
  shell: string;
  run: string;
  env?: Record<string, string>;
  'working-directory'?: string;
}

export interface Action {
  inputs: Record<string, { description: string; default?: string; required?: boolean }>;
  outputs: Record<string, { description: string; value: string }>;
  runs: { using: string; steps: Step[] };
}

export const readAction = async (): Promise<Action> =>
  parse(await readFile(path.join(ROOT, 'action.yml'), 'utf8'));

export interface RunResult {
  ok: boolean;
  outputs: Record<string, string>;
  /** Output of all steps. */
  log: string;
  summary: string;
}

/** A checkout with specs, a fake GitHub, and a runner for the steps of the action. */
export interface TestRunner extends AsyncDisposable {
  folder: string;
  github: FakeGitHub;
  write(name: string, text: string): Promise<void>;
  /** Runs the action for a pull request, or for the push that merged it. */
  action(inputs: Record<string, string>, options?: RunOptions): Promise<RunResult>;
}

interface RunOptions {
  /** Endpoint of a sandbox; absent: no credentials. */
  endpoint?: string;
  fork?: boolean;
  push?: boolean;
  branch?: string;
  env?: Record<string, string>;
}

export async function startRunner(): Promise<TestRunner> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-pull-'));
  const github = await startFakeGitHub();
  const checkout = path.join(folder, 'checkout');
  await mkdir(path.join(checkout, 'specs'), { recursive: true });
  await mkdir(path.join(checkout, '.git'));
  return {
    folder: checkout,
    github,
    write: (name, text) => writeFile(path.join(checkout, name), text),
    async action(inputs, options = {}) {
      const temp = await mkdtemp(path.join(folder, 'runner-'));
      const branch = options.branch ?? 'tax';
      const head = {
        sha: HEAD,
        ref: branch,
        repo: { full_name: options.fork ? 'mallory/infra' : 'acme/infra' },
      };
      const event = options.push ? { after: MERGED } : { pull_request: { number: 7, title: branch, head } };
      await writeFile(path.join(temp, 'event.json'), JSON.stringify(event));
      await writeFile(path.join(temp, 'summary.md'), '');
      const runnerEnv = childEnvironment(options.endpoint, {
        CI: 'true',
        GITHUB_ACTIONS: 'true',
        GITHUB_ACTION_PATH: ROOT,
        GITHUB_API_URL: github.url,
        GITHUB_GRAPHQL_URL: `${github.url}/graphql`,
        GITHUB_EVENT_NAME: options.push ? 'push' : 'pull_request',
        GITHUB_EVENT_PATH: path.join(temp, 'event.json'),
        GITHUB_HEAD_REF: branch,
        GITHUB_REF_NAME: options.push ? 'main' : '7/merge',
        GITHUB_REPOSITORY: 'acme/infra',
        GITHUB_RUN_ID: '42',
        GITHUB_SERVER_URL: 'https://github.com',
        GITHUB_SHA: MERGED,
        GITHUB_STEP_SUMMARY: path.join(temp, 'summary.md'),
        GITHUB_WORKSPACE: checkout,
        RUNNER_TEMP: temp,
        ...options.env,
      });
      const result = await runSteps(inputs, { temp, checkout, runnerEnv });
      return { ...result, summary: await readFile(path.join(temp, 'summary.md'), 'utf8') };
    },
    async [Symbol.asyncDispose]() {
      await github[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** Runs the steps of action.yml like a GitHub runner: with conditions, environment, outputs and skipped steps. */
async function runSteps(
  inputs: Record<string, string>,
  { temp, checkout, runnerEnv }: { temp: string; checkout: string; runnerEnv: Record<string, string> },
): Promise<Omit<RunResult, 'summary'>> {
  const action = await readAction();
  const values = new Map<string, string>([['github.token', TOKEN]]);
  for (const [name, { default: value = '' }] of Object.entries(action.inputs))
    values.set(`inputs.${name}`, interpolate(inputs[name] ?? value, values, true));
  let log = '';
  let ok = true;
  for (const [index, step] of action.runs.steps.entries()) {
    if (!shouldRun(step.if, values, ok)) continue;
    const script = path.join(temp, `${index}.sh`);
    const output = path.join(temp, `${index}.output`);
    await writeFile(script, step.run);
    await writeFile(output, '');
    const env = Object.entries(step.env ?? {}).map(([name, value]) => [name, interpolate(value, values, ok)]);
    const child = spawn('bash', ['--noprofile', '--norc', '-eo', 'pipefail', script], {
      cwd: path.resolve(checkout, interpolate(step['working-directory'] ?? '.', values, ok)),
      env: { ...runnerEnv, ...Object.fromEntries(env), GITHUB_OUTPUT: output },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
    const [code] = (await once(child, 'close')) as [number | null];
    ok &&= code === 0;
    for (const line of (await readFile(output, 'utf8')).split('\n')) {
      const [, name = '', value = ''] = /^([^=]+)=(.*)$/.exec(line) ?? [];
      values.set(`steps.${step.id}.outputs.${name}`, value);
    }
  }
  const outputs = Object.entries(action.outputs).map(([name, { value }]) => [
    name,
    interpolate(value, values, ok),
  ]);
  return { ok, outputs: Object.fromEntries(outputs), log };
}

/** Evaluates the expressions in a text, as GitHub does before a step starts. */
const interpolate = (text: string, values: Map<string, string>, ok: boolean): string =>
  text.replace(/\$\{\{(.*?)\}\}/g, (_, expression: string) => String(evaluate(expression, values, ok)));

function shouldRun(condition: string | undefined, values: Map<string, string>, ok: boolean): boolean {
  if (condition === undefined) return ok;
  const expression = condition.replace(/^\$\{\{(.*)\}\}$/, '$1');
  const status = /\b(success|failure|always|cancelled)\(\)/.test(expression);
  return (status || ok) && Boolean(evaluate(expression, values, ok));
}

/** Evaluates an expression. Those in action.yml are also valid JavaScript. */
function evaluate(expression: string, values: Map<string, string>, ok: boolean): unknown {
  const script = expression.replace(
    /\b(?:inputs|steps|github)\.[\w.-]+/g,
    (name) => `value(${JSON.stringify(name)})`,
  );
  return new Function('value', 'success', 'cancelled', `return (${script});`)(
    (name: string) => values.get(name) ?? '',
    () => ok,
    () => false,
  );
}
