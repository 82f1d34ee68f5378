import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { isInstalled } from '../support/cli.ts';
import { testEnv } from '../support/env.ts';
import { aWorkshop, readAction } from './pull-requests-runner.ts';

interface Step {
  name?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}

interface Job {
  permissions?: Record<string, string>;
  concurrency?: { group: string; 'cancel-in-progress': boolean };
  steps: Step[];
}

const action = await readAction();
const docs = await readFile('docs/how-to/review-plans-in-pull-requests.md', 'utf8');
const github: { on: object; permissions: object; jobs: Record<string, Job> } = parse(
  await readFile('deploy/pull-requests/github.yml', 'utf8'),
);
const gitlab: Record<string, { script?: string[]; before_script?: string[]; resource_group?: string }> =
  parse(await readFile('deploy/pull-requests/gitlab-ci.yml', 'utf8'));
const jobs = Object.values(github.jobs);
const steps = jobs.flatMap((job) => job.steps);

test('the workflow gives the action inputs that it has, and all that it requires', () => {
  const uses = steps.filter(({ uses: what }) => what === 'OWNER/replikey@COMMIT');
  expect(uses.map((step) => step.with?.command)).toEqual(['plan', 'apply', 'doctor', 'observe']);
  for (const step of uses)
    expect(Object.keys(action.inputs)).toEqual(expect.arrayContaining(Object.keys(step.with ?? {})));
  const named = [...JSON.stringify(github).matchAll(/steps\.\w+\.outputs\.([\w-]+)/g)].map(
    ([, name]) => name,
  );
  expect(Object.keys(action.outputs)).toEqual(expect.arrayContaining(named));
});

test('actions of others are pinned to a commit, and checkouts keep no token', () => {
  const others = steps.flatMap(({ uses }) => (uses && !uses.startsWith('OWNER/') ? [uses] : []));
  expect(others.length).toBeGreaterThan(10);
  for (const one of others) expect(one).toMatch(/^[\w-]+\/[\w/-]+@[0-9a-f]{40}$/);
  const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
  expect(checkouts.map((step) => step.with?.['persist-credentials'])).toEqual(jobs.map(() => false));
});

test('a job may do what it needs, only the plan may comment, and two runs that apply never overlap', () => {
  expect(github.permissions).toEqual({});
  expect(github.on).not.toHaveProperty('pull_request_target');
  const writes = Object.entries(github.jobs).map(([name, { permissions = {} }]) => [
    name,
    Object.keys(permissions).filter((one) => permissions[one] === 'write'),
  ]);
  expect(Object.fromEntries(writes)).toEqual({
    plan: ['id-token', 'pull-requests', 'issues', 'security-events'],
    apply: ['id-token'],
    doctor: ['id-token', 'security-events'],
    observe: ['id-token'],
  });
  expect(github.jobs.apply?.concurrency).toEqual({ group: 'replikey-apply', 'cancel-in-progress': false });
  expect(gitlab.apply?.resource_group).toBe('replikey');
});

test('no script holds an expression, and every script is one that bash reads', () => {
  const scripts = [
    ...action.runs.steps.map(({ run }) => run),
    ...steps.flatMap(({ run }) => run ?? []),
    ...Object.values(gitlab).flatMap((job) => [...(job.before_script ?? []), ...(job.script ?? [])]),
  ];
  expect(scripts.length).toBeGreaterThan(15);
  expect(action.runs.using).toBe('composite');
  expect(new Set(action.runs.steps.map(({ shell }) => shell))).toEqual(new Set(['bash']));
  for (const script of scripts) {
    expect(script).toEqual(expect.any(String));
    expect(script).not.toContain('${{');
    expect(spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' }).stderr, script).toBe('');
  }
});

test('replikey is built where it is not built yet, without the scripts of packages', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-build-'));
  const build = action.runs.steps[0]?.run ?? '';
  const npm = '#!/bin/sh\necho "npm $*"\n';
  const run = () => {
    const env = { PATH: `${folder}/bin:${process.env.PATH}`, GITHUB_ACTION_PATH: folder };
    return spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', build], {
      env,
      encoding: 'utf8',
    }).stdout;
  };
  try {
    await mkdir(path.join(folder, 'bin'));
    await writeFile(path.join(folder, 'bin/npm'), npm, { mode: 0o755 });
    expect(run()).toBe('npm ci --ignore-scripts --include=dev --no-audit --no-fund\nnpm run build\n');
    await mkdir(path.join(folder, 'dist'));
    await writeFile(path.join(folder, 'dist/main.js'), '');
    expect(run()).toBe('');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.skipIf(!isInstalled('jq'))(
  'a fork gets what main observed last, never what a fork uploaded under the same name',
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-fork-'));
    const script = steps.find(({ name }) => name === 'Fetch what was observed, for a fork')?.run ?? '';
    const artifact = (id: number, head_branch: string, head_repository_id: number, expired = false) => ({
      expired,
      workflow_run: { id, head_branch, head_repository_id, repository_id: 1 },
    });
    const fetch = async (artifacts: object[]) => {
      await writeFile(path.join(folder, 'artifacts.json'), JSON.stringify({ artifacts }));
      const env = {
        PATH: `${folder}/bin:${process.env.PATH}`,
        GITHUB_REPOSITORY: 'acme/infra',
        RUNNER_TEMP: '/runner',
        ARTIFACTS: path.join(folder, 'artifacts.json'),
      };
      const bash = ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script];
      const { status, stdout } = spawnSync('bash', bash, { env, encoding: 'utf8' });
      return { status, stdout };
    };
    // gh api ADDRESS --jq FILTER prints what the filter leaves of the answer; everything else is shown.
    const gh = '#!/bin/sh\nif [ "$1" = api ]; then jq -r "$4" "$ARTIFACTS"; else echo "gh $*"; fi\n';
    try {
      await mkdir(path.join(folder, 'bin'));
      await writeFile(path.join(folder, 'bin/gh'), gh, { mode: 0o755 });
      const forged = [artifact(9, 'main', 2), artifact(8, 'tax', 1), artifact(7, 'main', 1, true)];
      expect(await fetch([...forged, artifact(6, 'main', 1), artifact(5, 'main', 1)])).toEqual({
        status: 0,
        stdout: 'gh run download 6 --repo acme/infra --name replikey-observed --dir /runner\n',
      });
      expect(await fetch(forged)).toEqual({
        status: 1,
        stdout: '::error::nothing was observed yet: run the workflow on main first\n',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test('the documentation has every input, output and label', async () => {
  for (const [name, { description, required, default: value }] of Object.entries(action.inputs)) {
    const shown = required ? 'required' : value ? `\`${value}\`` : '';
    expect(docs).toContain(`| \`${name}\` | ${shown} | ${description} |`);
  }
  for (const [name, { description }] of Object.entries(action.outputs))
    expect(docs).toContain(`| \`${name}\` | ${description} |`);
  const script = await readFile('deploy/pull-requests/comment.mjs', 'utf8');
  const labels = [...script.matchAll(/'(replikey: [a-z ]+)',$/gm)].map(([, label]) => label);
  expect(labels).toHaveLength(4);
  for (const label of labels) expect(docs).toContain(`| \`${label}\` | `);
});

test('the documentation shows the comment that is made', async () => {
  const tax = await readFile('specs/tax.yaml', 'utf8');
  await using testEnvironment = await testEnv(tax);
  await testEnvironment.reconcile();
  await using workshop = await aWorkshop();
  await workshop.write('specs/tax.yaml', `${tax.trimEnd()}\n    - name: ledgers\n      prefix: Ledgers/\n`);
  await workshop.action({ command: 'plan' }, { endpoint: testEnvironment.sandbox.endpoint });
  const quoted = docs.split('\n').filter((line) => line.startsWith('>'));
  const shown = quoted.map((line) => line.replace(/^> ?/, '')).join('\n');
  const [, , ...made] = workshop.github.comments[0]?.body.split('\n') ?? [];
  expect(steady(shown)).toBe(steady(made.join('\n').trim()));
});

/** Without what differs from run to run. */
const steady = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replace(/--plan [0-9a-f]{16}/g, '--plan CHECKSUM')
    .replace(/commit [0-9a-f]{40}/g, 'commit SHA')
    .replace(/runs\/\d+/g, 'runs/RUN');
