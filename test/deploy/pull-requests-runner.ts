import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { childEnvironment } from '../support/cli.ts';
import { type GitHub, startGitHub, TOKEN } from './pull-requests-github.ts';

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

export interface Ended {
  ok: boolean;
  outputs: Record<string, string>;
  /** What the log of the run shows. */
  log: string;
  summary: string;
}

/** A checkout with specs, a stand-in for GitHub, and a runner that carries out the steps of the action. */
export interface Workshop extends AsyncDisposable {
  folder: string;
  github: GitHub;
  write(name: string, text: string): Promise<void>;
  /** Run the action on a pull request, or on the push that merged it. */
  action(inputs: Record<string, string>, on?: On): Promise<Ended>;
}

interface On {
  /** Endpoint of a sandbox; absent: no credentials. */
  endpoint?: string;
  fork?: boolean;
  push?: boolean;
  branch?: string;
  env?: Record<string, string>;
}

export async function aWorkshop(): Promise<Workshop> {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-pull-'));
  const github = await startGitHub();
  const checkout = path.join(folder, 'checkout');
  await mkdir(path.join(checkout, 'specs'), { recursive: true });
  await mkdir(path.join(checkout, '.git'));
  return {
    folder: checkout,
    github,
    write: (name, text) => writeFile(path.join(checkout, name), text),
    async action(inputs, on = {}) {
      const temp = await mkdtemp(path.join(folder, 'runner-'));
      const branch = on.branch ?? 'tax';
      const head = { sha: HEAD, ref: branch, repo: { full_name: on.fork ? 'mallory/infra' : 'acme/infra' } };
      const event = on.push ? { after: MERGED } : { pull_request: { number: 7, title: branch, head } };
      await writeFile(path.join(temp, 'event.json'), JSON.stringify(event));
      await writeFile(path.join(temp, 'summary.md'), '');
      const runner = childEnvironment(on.endpoint, {
        CI: 'true',
        GITHUB_ACTIONS: 'true',
        GITHUB_ACTION_PATH: ROOT,
        GITHUB_API_URL: github.url,
        GITHUB_GRAPHQL_URL: `${github.url}/graphql`,
        GITHUB_EVENT_NAME: on.push ? 'push' : 'pull_request',
        GITHUB_EVENT_PATH: path.join(temp, 'event.json'),
        GITHUB_HEAD_REF: branch,
        GITHUB_REF_NAME: on.push ? 'main' : '7/merge',
        GITHUB_REPOSITORY: 'acme/infra',
        GITHUB_RUN_ID: '42',
        GITHUB_SERVER_URL: 'https://github.com',
        GITHUB_SHA: MERGED,
        GITHUB_STEP_SUMMARY: path.join(temp, 'summary.md'),
        GITHUB_WORKSPACE: checkout,
        RUNNER_TEMP: temp,
        ...on.env,
      });
      const ended = await carryOut(inputs, { temp, checkout, runner });
      return { ...ended, summary: await readFile(path.join(temp, 'summary.md'), 'utf8') };
    },
    async [Symbol.asyncDispose]() {
      await github[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** The steps of action.yml, as a runner takes them: conditions, environment, outputs, and what a failure skips. */
async function carryOut(
  given: Record<string, string>,
  { temp, checkout, runner }: { temp: string; checkout: string; runner: Record<string, string> },
): Promise<Omit<Ended, 'summary'>> {
  const action = await readAction();
  const values = new Map<string, string>([['github.token', TOKEN]]);
  for (const [name, { default: value = '' }] of Object.entries(action.inputs))
    values.set(`inputs.${name}`, filled(given[name] ?? value, values, true));
  let log = '';
  let ok = true;
  for (const [index, step] of action.runs.steps.entries()) {
    if (!truthy(step.if, values, ok)) continue;
    const script = path.join(temp, `${index}.sh`);
    const output = path.join(temp, `${index}.output`);
    await writeFile(script, step.run);
    await writeFile(output, '');
    const env = Object.entries(step.env ?? {}).map(([name, value]) => [name, filled(value, values, ok)]);
    const child = spawn('bash', ['--noprofile', '--norc', '-eo', 'pipefail', script], {
      cwd: path.resolve(checkout, filled(step['working-directory'] ?? '.', values, ok)),
      env: { ...runner, ...Object.fromEntries(env), GITHUB_OUTPUT: output },
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
    filled(value, values, ok),
  ]);
  return { ok, outputs: Object.fromEntries(outputs), log };
}

/** With its expressions evaluated, as GitHub does before a step begins. */
const filled = (text: string, values: Map<string, string>, ok: boolean): string =>
  text.replace(/\$\{\{(.*?)\}\}/g, (_, expression: string) => String(evaluated(expression, values, ok)));

function truthy(condition: string | undefined, values: Map<string, string>, ok: boolean): boolean {
  if (condition === undefined) return ok;
  const expression = condition.replace(/^\$\{\{(.*)\}\}$/, '$1');
  const status = /\b(success|failure|always|cancelled)\(\)/.test(expression);
  return (status || ok) && Boolean(evaluated(expression, values, ok));
}

/** The few forms of expressions that action.yml has are those of JavaScript, too. */
function evaluated(expression: string, values: Map<string, string>, ok: boolean): unknown {
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
