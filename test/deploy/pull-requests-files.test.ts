import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { RECORDED } from '../iac/recorded.ts';
import { isInstalled, runCli } from '../support/cli.ts';
import { testEnv } from '../support/env.ts';
import { readAction, startRunner } from './pull-requests-runner.ts';

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

test('github.yml: passes only existing inputs to the action, and uses only existing outputs', () => {
  const actionSteps = steps.filter(({ uses }) => uses === 'OWNER/replikey@COMMIT');
  expect(actionSteps.map((step) => step.with?.command)).toEqual(['plan', 'apply', 'doctor', 'observe']);
  for (const step of actionSteps)
    expect(Object.keys(action.inputs)).toEqual(expect.arrayContaining(Object.keys(step.with ?? {})));
  const outputNames = [...JSON.stringify(github).matchAll(/steps\.\w+\.outputs\.([\w-]+)/g)].map(
    ([, name]) => name,
  );
  expect(Object.keys(action.outputs)).toEqual(expect.arrayContaining(outputNames));
});

test('github.yml: third-party actions are pinned to a commit, and checkouts do not persist the token', () => {
  const thirdPartyActions = steps.flatMap(({ uses }) => (uses && !uses.startsWith('OWNER/') ? [uses] : []));
  expect(thirdPartyActions.length).toBeGreaterThan(10);
  for (const reference of thirdPartyActions) expect(reference).toMatch(/^[\w-]+\/[\w/-]+@[0-9a-f]{40}$/);
  const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
  expect(checkouts.map((step) => step.with?.['persist-credentials'])).toEqual(jobs.map(() => false));
});

test('github.yml and gitlab-ci.yml: jobs have minimal permissions, and apply runs never overlap', () => {
  expect(github.permissions).toEqual({});
  expect(github.on).not.toHaveProperty('pull_request_target');
  const writes = Object.entries(github.jobs).map(([name, { permissions = {} }]) => [
    name,
    Object.keys(permissions).filter((scope) => permissions[scope] === 'write'),
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

test('action and workflows: scripts contain no expressions, and are valid bash', () => {
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

test('action: builds replikey only if dist is missing, without package scripts', async () => {
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
  'github.yml: a fork gets the latest snapshot of main, never an artifact that a fork uploaded',
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'replikey-fork-'));
    const script = steps.find(({ name }) => name === 'Download the snapshot, for a fork')?.run ?? '';
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
    // The fake gh applies the filter of `gh api PATH --jq FILTER` to the artifacts, and prints other commands.
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
        stdout: '::error::no snapshot yet: run the workflow on main first\n',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test('docs: list every input, output and label', async () => {
  for (const [name, { description, required, default: value }] of Object.entries(action.inputs)) {
    const defaultText = required ? 'required' : value ? `\`${value}\`` : '';
    expect(docs).toContain(`| \`${name}\` | ${defaultText} | ${description} |`);
  }
  for (const [name, { description }] of Object.entries(action.outputs))
    expect(docs).toContain(`| \`${name}\` | ${description} |`);
  const script = await readFile('deploy/pull-requests/comment.mjs', 'utf8');
  const labels = [...script.matchAll(/'(replikey: [a-z ]+)',$/gm)].map(([, label]) => label);
  expect(labels).toHaveLength(4);
  for (const label of labels) expect(docs).toContain(`| \`${label}\` | `);
});

test('docs: show the comment that the action writes', async () => {
  const tax = await readFile('specs/tax.yaml', 'utf8');
  await using testEnvironment = await testEnv(tax);
  await testEnvironment.reconcile();
  await using runner = await startRunner();
  await runner.write('specs/tax.yaml', `${tax.trimEnd()}\n    - name: ledgers\n      prefix: Ledgers/\n`);
  await runner.action({ command: 'plan' }, { endpoint: testEnvironment.sandbox.endpoint });
  const quoted = docs.split('\n').filter((line) => line.startsWith('>'));
  const documented = quoted.map((line) => line.replace(/^> ?/, '')).join('\n');
  const [, , ...actual] = runner.github.comments[0]?.body.split('\n') ?? [];
  expect(maskVariableParts(documented)).toBe(maskVariableParts(actual.join('\n').trim()));
});

/** Replaces the parts that differ between runs. */
const maskVariableParts = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replace(/--plan [0-9a-f]{16}/g, '--plan CHECKSUM')
    .replace(/commit [0-9a-f]{40}/g, 'commit SHA')
    .replace(/runs\/\d+/g, 'runs/RUN');

test('.pre-commit-hooks.yaml: the entry runs with its default arguments in a folder with a plan', async () => {
  const [hook] = parse(await readFile('.pre-commit-hooks.yaml', 'utf8'));
  expect(hook).toMatchObject({ id: 'replikey-terraform', language: 'node', pass_filenames: false });
  const [program, ...args] = [...hook.entry.split(' '), ...hook.args];
  const { bin } = JSON.parse(await readFile('package.json', 'utf8'));
  expect(bin[program]).toBe('dist/main.js');
  expect(
    ['main.tf', 'infra/main.tofu', 'prod.tfvars', 'a.tf.json'].every((file) =>
      new RegExp(hook.files).test(file),
    ),
  ).toBe(true);
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-hook-'));
  try {
    await copyFile(`${RECORDED}/cross-account-correct.json`, path.join(folder, 'plan.json'));
    expect(await runCli(args, { cwd: folder })).toMatchObject({ code: 0, stderr: '' });
  } finally {
    await rm(folder, { recursive: true });
  }
});
