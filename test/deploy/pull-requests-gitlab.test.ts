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
import { bodyOf } from './pull-requests-github.ts';
import { HEAD, MERGED, ROOT } from './pull-requests-runner.ts';

const TOKEN = 'glpat-a-token-that-must-never-be-printed';
const MARKER = '<!-- replikey: plan -->';
const FORK = { CI_MERGE_REQUEST_SOURCE_PROJECT_ID: '4', REPLIKEY_TOKEN: '' };
const ME = 17;

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

/** The variables that a job begins with, but for where replikey lies and how AWS knows who asks. */
const { AWS_WEB_IDENTITY_TOKEN_FILE: _, ...ofAll } = pipeline['.replikey']?.variables ?? {};
const VARIABLES = {
  ...ofAll,
  REPLIKEY_ARGUMENTS: '',
  CHECKSUM: '',
  PIPELINE: path.join(ROOT, 'deploy/pull-requests'),
};

/** As much of GitLab's API as a note and a label need, and a checkout beside it. */
async function aWorkshop() {
  const folder = await mkdtemp(path.join(tmpdir(), 'replikey-merge-'));
  await mkdir(path.join(folder, 'specs'));
  await writeFile(path.join(folder, 'specs/tax.yaml'), TAX_SPEC);
  const notes: Note[] = [];
  const labels = new Set<string>();
  const merged: object[] = [];
  const faults: number[] = [];
  let kept: string | undefined;
  const request = '/api/v4/projects/3/merge_requests/9';
  const server = createServer(async (asked, response) => {
    const url = new URL(asked.url ?? '/', 'http://gitlab.test');
    const text = await bodyOf(asked);
    const body = text === '' ? {} : JSON.parse(text);
    const send = (status: number, value: object) =>
      response
        .writeHead(status, { 'content-type': 'application/json', 'retry-after': '0' })
        .end(JSON.stringify(value));
    // What a job of a public project left can be had by everybody.
    if (url.pathname === '/api/v4/projects/3/jobs/artifacts/main/raw/observed.json' && kept !== undefined)
      return url.searchParams.get('job') === 'observe' ? response.end(kept) : send(404, {});
    if (asked.headers['private-token'] !== TOKEN) return send(401, { message: '401 Unauthorized' });
    const fault = faults.shift();
    if (fault !== undefined) return send(fault, { error: 'a fault' });
    const id = Number(/\/notes\/(\d+)$/.exec(url.pathname)?.[1]);
    const [size, page] = [Number(url.searchParams.get('per_page')), Number(url.searchParams.get('page'))];
    switch (`${asked.method} ${url.pathname.replace(/\d+$/, (digits) => (id ? 'ID' : digits))}`) {
      case 'GET /api/v4/user':
        return send(200, { id: ME });
      case `GET ${request}/notes`:
        return send(200, notes.slice((page - 1) * size, page * size));
      case `POST ${request}/notes`:
        notes.push({ id: 500 + notes.length, system: false, author: { id: ME }, body: body.body });
        return send(201, {});
      case `PUT ${request}/notes/ID`:
        for (const note of notes) if (note.id === id) note.body = body.body;
        return send(200, {});
      case `PUT ${request}`:
        for (const name of body.remove_labels.split(',')) labels.delete(name);
        labels.add(body.add_labels);
        return send(200, {});
      case `GET /api/v4/projects/3/repository/commits/${MERGED}/merge_requests`:
        return send(200, merged);
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
  /** The script of a job of gitlab-ci.yml, as a runner takes it: line by line in one shell, until one fails. */
  const job = async (name: string, env: Record<string, string>, endpoint?: string) => {
    const script = pipeline[name]?.script.join('\n') ?? '';
    const child = spawn('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], {
      cwd: folder,
      env: childEnvironment(endpoint, { ...base, ...VARIABLES, ...env }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] += text;
      });
    const [code] = (await once(child, 'close')) as [number | null];
    expect(said.stdout + said.stderr).not.toContain(TOKEN);
    return { code, ...said };
  };
  return {
    folder,
    notes,
    labels,
    merged,
    faults,
    keep(observed: string) {
      kept = observed;
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

test('a merge request of GitLab has one note and one label, whatever others write and however often it is planned', async () => {
  await using testEnvironment = await testEnv();
  await using workshop = await aWorkshop();
  const others = Array.from({ length: 120 }, (_, id) => ({
    id,
    system: false,
    author: { id: 1 },
    body: `${MARKER}\nmine ${id}`,
  }));
  workshop.notes.push(...structuredClone(others));
  workshop.labels.add('enhancement');
  workshop.faults.push(502);
  const first = await workshop.plan(testEnvironment.sandbox.endpoint);
  expect(first).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(workshop.notes).toHaveLength(121);
  expect(workshop.notes[120]?.body).toContain('### replikey: 13 to create');
  expect(workshop.notes[120]?.body).toContain(`of commit ${HEAD} -->`);
  expect([...workshop.labels]).toEqual(['enhancement', 'replikey: changes']);

  await writeFile(path.join(workshop.folder, 'specs/bad.yaml'), 'kind: [');
  const failed = await workshop.plan(testEnvironment.sandbox.endpoint);
  expect(failed.code).toBe(65);
  expect(workshop.notes.slice(0, 120)).toEqual(others);
  expect(workshop.notes[120]?.body).toContain('### replikey: no plan could be made');
  expect([...workshop.labels]).toEqual(['enhancement', 'replikey: blocked']);
});

test.for([
  { how: 'by a commit', squash_commit_sha: null, merge_commit_sha: MERGED },
  { how: 'squashed', squash_commit_sha: MERGED, merge_commit_sha: null },
])('what was merged $how is applied with the checksum of its note', async ({ how: _, ...commits }) => {
  await using testEnvironment = await testEnv();
  await using workshop = await aWorkshop();
  await workshop.plan(testEnvironment.sandbox.endpoint);
  const refused = await workshop.apply(testEnvironment.sandbox.endpoint);
  expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('no plan was approved') });
  workshop.merged.push({ iid: 9, state: 'merged', target_branch: 'main', sha: HEAD, ...commits });
  const applied = await workshop.apply(testEnvironment.sandbox.endpoint);
  expect(applied).toMatchObject({ code: 0, stdout: expect.stringContaining('Converged: 13 applied') });
});

test('a merge request of a fork has no token, which is no failure; ours without one is', async () => {
  await using testEnvironment = await testEnv();
  await using workshop = await aWorkshop();
  expect((await workshop.plan(testEnvironment.sandbox.endpoint, FORK)).code).toBe(0);
  const ours = await workshop.plan(testEnvironment.sandbox.endpoint, { REPLIKEY_TOKEN: '' });
  expect(ours).toMatchObject({
    code: 64,
    stderr: expect.stringContaining('REPLIKEY_TOKEN needs the scope api'),
  });
  const wrong = await workshop.plan(testEnvironment.sandbox.endpoint, { REPLIKEY_TOKEN: 'glpat-wrong' });
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('401 Unauthorized') });
  expect(wrong.stderr).not.toContain('glpat-wrong');
});

test("a fork's merge request gets a real plan, from what was observed on the default branch", async () => {
  await using testEnvironment = await testEnv();
  await using workshop = await aWorkshop();
  const early = await workshop.planOfFork();
  expect(early.code, 'nothing was observed yet').toBe(22);
  const observed = await workshop.job('observe', {}, testEnvironment.sandbox.endpoint);
  expect(observed).toMatchObject({ code: 0 });
  workshop.keep(await readFile(path.join(workshop.folder, 'observed.json'), 'utf8'));
  await rm(path.join(workshop.folder, 'observed.json'));
  const planned = await workshop.planOfFork();
  expect(planned, planned.stderr).toMatchObject({ code: 0 });
  const markdown = await readFile(path.join(workshop.folder, 'replikey-results/plan.md'), 'utf8');
  expect(markdown).toContain('### replikey: 13 to create');
  expect(markdown).toMatch(/^As observed .+; AWS is not asked\.$/m);
  expect(workshop.notes).toEqual([]);
});

test('a plan is applied by hand with its checksum, and with no other', async () => {
  await using testEnvironment = await testEnv();
  await using workshop = await aWorkshop();
  const other = await workshop.apply(testEnvironment.sandbox.endpoint, { CHECKSUM: '0123456789abcdef' });
  expect(other).toMatchObject({ code: 3, stdout: expect.stringContaining('not the one that was approved') });
  const [, CHECKSUM = ''] = /Checksum ([0-9a-f]{16})/.exec(other.stdout) ?? [];
  expect(await workshop.apply(testEnvironment.sandbox.endpoint, { CHECKSUM })).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Converged: 13 applied'),
  });
});

test('the doctor on schedule is red where a rule does not replicate', async () => {
  await using testEnvironment = await testEnv();
  await using workshop = await aWorkshop();
  expect(await workshop.job('doctor', {}, testEnvironment.sandbox.endpoint)).toMatchObject({ code: 1 });
  await testEnvironment.reconcile();
  expect(await workshop.job('doctor', {}, testEnvironment.sandbox.endpoint)).toMatchObject({ code: 0 });
});
