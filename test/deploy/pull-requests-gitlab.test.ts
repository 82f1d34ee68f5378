import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { childEnvironment } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { readBody } from './pull-requests-github.ts';
import { HEAD, MERGED, ROOT } from './pull-requests-runner.ts';

const TOKEN = 'glpat-a-token-that-must-never-be-printed';
const MARKER = '<!-- replikey: plan -->';
const FORK = { CI_MERGE_REQUEST_SOURCE_PROJECT_ID: '4', REPLIKEY_TOKEN: '' };
const OWN_USER_ID = 17;

interface Note {
  id: number;
  system: boolean;
  author: { id: number };
  body: string;
}

interface Job {
  script: string[];
  variables?: Record<string, string>;
}

const pipeline: { variables: Record<string, string | object> } & Record<string, Job> = parse(
  await readFile(path.join(ROOT, 'deploy/pull-requests/gitlab-ci.yml'), 'utf8'),
);

/** Variables of every job, except the location of replikey and the AWS credentials. */
const { AWS_WEB_IDENTITY_TOKEN_FILE: _, ...commonVariables } = pipeline['.replikey']?.variables ?? {};
const VARIABLES = {
  ...commonVariables,
  REPLIKEY_ARGUMENTS: '',
  CHECKSUM: '',
  PIPELINE: path.join(ROOT, 'deploy/pull-requests'),
};

/** Starts a fake of the GitLab API for notes and labels, with a checkout in which jobs run. */
async function startRunner() {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-merge-'));
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs/tax.yaml'), TAX_SPEC);
  const notes: Note[] = [];
  const labels = new Set<string>();
  const mergedRequests: object[] = [];
  const faults: number[] = [];
  let snapshot: string | undefined;
  const requestPath = '/api/v4/projects/3/merge_requests/9';
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://gitlab.test');
    const text = await readBody(request);
    const body = text === '' ? {} : JSON.parse(text);
    const send = (status: number, value: object) =>
      response
        .writeHead(status, { 'content-type': 'application/json', 'retry-after': '0' })
        .end(JSON.stringify(value));
    // Job artifacts of a public project are public.
    if (url.pathname === '/api/v4/projects/3/jobs/artifacts/main/raw/observed.json' && snapshot !== undefined)
      return url.searchParams.get('job') === 'observe' ? response.end(snapshot) : send(404, {});
    if (request.headers['private-token'] !== TOKEN) return send(401, { message: '401 Unauthorized' });
    const fault = faults.shift();
    if (fault !== undefined) return send(fault, { error: 'a fault' });
    const id = Number(/\/notes\/(\d+)$/.exec(url.pathname)?.[1]);
    const [size, page] = [Number(url.searchParams.get('per_page')), Number(url.searchParams.get('page'))];
    switch (`${request.method} ${url.pathname.replace(/\d+$/, (digits) => (id ? 'ID' : digits))}`) {
      case 'GET /api/v4/user':
        return send(200, { id: OWN_USER_ID });
      case `GET ${requestPath}/notes`:
        return send(200, notes.slice((page - 1) * size, page * size));
      case `POST ${requestPath}/notes`:
        notes.push({ id: 500 + notes.length, system: false, author: { id: OWN_USER_ID }, body: body.body });
        return send(201, {});
      case `PUT ${requestPath}/notes/ID`:
        for (const note of notes) if (note.id === id) note.body = body.body;
        return send(200, {});
      case `PUT ${requestPath}`:
        for (const name of body.remove_labels.split(',')) labels.delete(name);
        labels.add(body.add_labels);
        return send(200, {});
      case `GET /api/v4/projects/3/repository/commits/${MERGED}/merge_requests`:
        return send(200, mergedRequests);
      default:
        return send(404, { message: '404 Not found' });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const base = {
    CI_API_V4_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v4`,
    CI_PROJECT_ID: '3',
    CI_DEFAULT_BRANCH: 'main',
    CI_COMMIT_SHA: MERGED,
    CI_JOB_URL: 'https://gitlab.example.com/acme/infra/-/jobs/1',
    REPLIKEY_PLAN_ROLE: 'arn:aws:iam::111122223333:role/plan',
    REPLIKEY_APPLY_ROLE: 'arn:aws:iam::111122223333:role/apply',
    REPLIKEY_TOKEN: TOKEN,
  };
  const review = {
    CI_MERGE_REQUEST_IID: '9',
    CI_MERGE_REQUEST_PROJECT_ID: '3',
    CI_MERGE_REQUEST_SOURCE_PROJECT_ID: '3',
    CI_MERGE_REQUEST_SOURCE_BRANCH_SHA: HEAD,
  };
  /** Runs the script of a job of gitlab-ci.yml in one shell, until a line fails. */
  const job = async (name: string, env: Record<string, string>, endpoint?: string) => {
    const script = pipeline[name]?.script.join('\n') ?? '';
    const child = spawn('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], {
      cwd: folder,
      env: childEnvironment(endpoint, { ...base, ...VARIABLES, ...env }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        output[stream] += text;
      });
    const [code] = (await once(child, 'close')) as [number | null];
    expect(output.stdout + output.stderr).not.toContain(TOKEN);
    return { code, ...output };
  };
  return {
    folder,
    notes,
    labels,
    mergedRequests,
    faults,
    storeSnapshot(text: string) {
      snapshot = text;
    },
    job,
    plan: (endpoint?: string, env: Record<string, string> = {}) =>
      job('plan', { ...review, ...env }, endpoint),
    planOfFork: () => job('plan-of-fork', { ...review, ...FORK, CI_PROJECT_ID: '4' }),
    apply: (endpoint: string, env: Record<string, string> = {}) =>
      job('apply', { CI_COMMIT_BRANCH: 'main', ...env }, endpoint),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

test('GitLab: several plans and foreign notes: one note and one label', async () => {
  await using testEnvironment = await testEnv();
  await using runner = await startRunner();
  const foreignNotes = Array.from({ length: 120 }, (_, id) => ({
    id,
    system: false,
    author: { id: 1 },
    body: `${MARKER}\nmine ${id}`,
  }));
  runner.notes.push(...structuredClone(foreignNotes));
  runner.labels.add('enhancement');
  runner.faults.push(502);
  const first = await runner.plan(testEnvironment.sandbox.endpoint);
  expect(first).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(runner.notes).toHaveLength(121);
  expect(runner.notes[120]?.body).toContain('### replikey: 13 to create');
  expect(runner.notes[120]?.body).toContain(`of commit ${HEAD} -->`);
  expect([...runner.labels]).toEqual(['enhancement', 'replikey: changes']);

  await writeFile(path.join(runner.folder, 'specs/bad.yaml'), 'kind: [');
  const failed = await runner.plan(testEnvironment.sandbox.endpoint);
  expect(failed.code).toBe(65);
  expect(runner.notes.slice(0, 120)).toEqual(foreignNotes);
  expect(runner.notes[120]?.body).toContain('### replikey: the plan failed');
  expect([...runner.labels]).toEqual(['enhancement', 'replikey: blocked']);
});

test.for([
  { method: 'with a merge commit', squash_commit_sha: null, merge_commit_sha: MERGED },
  { method: 'with a squash commit', squash_commit_sha: MERGED, merge_commit_sha: null },
])(
  'GitLab: merged $method: applies the plan with the checksum of its note',
  async ({ method: _, ...commits }) => {
    await using testEnvironment = await testEnv();
    await using runner = await startRunner();
    await runner.plan(testEnvironment.sandbox.endpoint);
    const refused = await runner.apply(testEnvironment.sandbox.endpoint);
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('no plan was approved') });
    runner.mergedRequests.push({ iid: 9, state: 'merged', target_branch: 'main', sha: HEAD, ...commits });
    const applied = await runner.apply(testEnvironment.sandbox.endpoint);
    expect(applied).toMatchObject({ code: 0, stdout: expect.stringContaining('Converged: 13 applied') });
  },
);

test('GitLab: a missing token: succeeds for a fork, and fails otherwise', async () => {
  await using testEnvironment = await testEnv();
  await using runner = await startRunner();
  expect((await runner.plan(testEnvironment.sandbox.endpoint, FORK)).code).toBe(0);
  const withoutToken = await runner.plan(testEnvironment.sandbox.endpoint, { REPLIKEY_TOKEN: '' });
  expect(withoutToken).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('REPLIKEY_TOKEN needs the scope api'),
  });
  const withWrongToken = await runner.plan(testEnvironment.sandbox.endpoint, {
    REPLIKEY_TOKEN: 'glpat-wrong',
  });
  expect(withWrongToken).toMatchObject({ code: 1, stderr: expect.stringContaining('401 Unauthorized') });
  expect(withWrongToken.stderr).not.toContain('glpat-wrong');
});

test('GitLab: a merge request of a fork: plans from the snapshot of the default branch', async () => {
  await using testEnvironment = await testEnv();
  await using runner = await startRunner();
  const withoutSnapshot = await runner.planOfFork();
  expect(withoutSnapshot.code, 'no snapshot yet').toBe(22);
  const observed = await runner.job('observe', {}, testEnvironment.sandbox.endpoint);
  expect(observed).toMatchObject({ code: 0 });
  runner.storeSnapshot(await readFile(path.join(runner.folder, 'observed.json'), 'utf8'));
  await rm(path.join(runner.folder, 'observed.json'));
  const plan = await runner.planOfFork();
  expect(plan, plan.stderr).toMatchObject({ code: 0 });
  const markdown = await readFile(path.join(runner.folder, 'replikey-results/plan.md'), 'utf8');
  expect(markdown).toContain('### replikey: 13 to create');
  expect(markdown).toMatch(/^Snapshot taken .+, not AWS\.$/m);
  expect(runner.notes).toEqual([]);
});

test('GitLab: apply by hand: needs the checksum of the current plan', async () => {
  await using testEnvironment = await testEnv();
  await using runner = await startRunner();
  const refused = await runner.apply(testEnvironment.sandbox.endpoint, { CHECKSUM: '0123456789abcdef' });
  expect(refused).toMatchObject({
    code: 3,
    stdout: expect.stringContaining('the plan differs from the approved plan'),
  });
  const [, CHECKSUM = ''] = /Checksum ([0-9a-f]{16})/.exec(refused.stdout) ?? [];
  expect(await runner.apply(testEnvironment.sandbox.endpoint, { CHECKSUM })).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Converged: 13 applied'),
  });
});

test('GitLab: the doctor job fails if a rule does not replicate', async () => {
  await using testEnvironment = await testEnv();
  await using runner = await startRunner();
  expect(await runner.job('doctor', {}, testEnvironment.sandbox.endpoint)).toMatchObject({ code: 1 });
  await testEnvironment.reconcile();
  expect(await runner.job('doctor', {}, testEnvironment.sandbox.endpoint)).toMatchObject({ code: 0 });
});
