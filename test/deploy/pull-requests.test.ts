import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { denied } from '../report/plans.ts';
import { childEnvironment } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { BOT, TOKEN } from './pull-requests-github.ts';
import { aWorkshop, HEAD, MERGED, type Workshop } from './pull-requests-runner.ts';

const MARKER = '<!-- replikey: plan -->';
const LABEL = {
  none: 'replikey: no changes',
  changes: 'replikey: changes',
  removals: 'replikey: removals',
  blocked: 'replikey: blocked',
};

/** What GitHub answers for the commit that a merge made. */
const pull = (more: object = {}) => ({
  number: 7,
  merged_at: '2026-11-23T18:16:15Z',
  merge_commit_sha: MERGED,
  base: { ref: 'main' },
  head: { sha: HEAD },
  ...more,
});

async function planned(workshop: Workshop, endpoint: string) {
  await workshop.write('specs/tax.yaml', TAX_SPEC);
  return workshop.action({ command: 'plan' }, { endpoint });
}

test('a first plan makes a comment and a label, and stands in the summary of the run', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  const { ok, outputs, summary, log } = await planned(workshop, env.sandbox.endpoint);
  expect(log).not.toContain(TOKEN);
  expect(ok, log).toBe(true);
  expect(outputs).toMatchObject({
    'exit-code': '0',
    changes: '13',
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(summary).toContain('### replikey: 13 to create');
  expect(await readFile(outputs.markdown ?? '', 'utf8')).toBe(summary);

  const { comments, labels } = workshop.github;
  expect(comments).toHaveLength(1);
  const [first, second] = comments[0]?.body.split('\n') ?? [];
  expect(first).toBe(MARKER);
  expect(second).toBe(`<!-- replikey: checksum ${outputs.checksum} of commit ${HEAD} -->`);
  expect(comments[0]?.body).toContain('### replikey: 13 to create');
  expect(comments[0]?.body).toContain(
    `<sub>For commit ${HEAD}, by [this run](https://github.com/acme/infra/actions/runs/42).</sub>`,
  );
  expect(labels).toEqual([LABEL.changes]);
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
});

test('a later plan edits the same comment, and moves the label; labels of others stay', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await planned(workshop, env.sandbox.endpoint);
  workshop.github.labels.push('enhancement');
  await env.reconcile();
  await planned(workshop, env.sandbox.endpoint);
  expect(workshop.github.comments).toHaveLength(1);
  expect(workshop.github.comments[0]?.body).toContain('### replikey: Nothing to do');
  expect(workshop.github.labels).toEqual(['enhancement', LABEL.none]);
});

test('a plan that takes rules away, and one that is not applied as it is, say so by their label', async () => {
  const removing = TAX_SPEC.replace('spec:', 'spec:\n  policy: { deletion: Remove }');
  await using env = await testEnv(`${removing}    - name: ledgers\n      prefix: Ledgers/\n`);
  await env.reconcile();
  const on = { endpoint: env.sandbox.endpoint };
  await using workshop = await aWorkshop();
  await workshop.write('specs/tax.yaml', removing);
  await workshop.action({ command: 'plan', arguments: '--prune' }, on);
  expect(workshop.github.labels).toEqual([LABEL.removals]);

  const other = TAX_SPEC.replace('alias/acme-tax }', 'alias/another }');
  await workshop.write('specs/tax.yaml', other);
  await workshop.action({ command: 'plan' }, on);
  expect(workshop.github.labels).toEqual([LABEL.blocked]);
  await workshop.action({ command: 'plan', arguments: '--allow change-default-key' }, on);
  expect(workshop.github.labels).not.toContain(LABEL.blocked);
});

test('comments of others that hold the marker are left alone', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  const theirs = { id: 1, user: { login: 'mallory' }, body: `${MARKER}\nmine` };
  const quoted = { id: 2, user: { login: BOT }, body: `of another workflow: ${MARKER}` };
  workshop.github.comments.push({ ...theirs }, { ...quoted });
  await planned(workshop, env.sandbox.endpoint);
  expect(workshop.github.comments.slice(0, 2)).toEqual([theirs, quoted]);
  expect(workshop.github.comments).toHaveLength(3);
});

test('its comment is found behind a hundred others', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  const others = Array.from({ length: 230 }, (_, id) => ({ id, user: { login: 'ann' }, body: `+${id}` }));
  workshop.github.comments.push(...others);
  await planned(workshop, env.sandbox.endpoint);
  await planned(workshop, env.sandbox.endpoint);
  expect(workshop.github.comments).toHaveLength(231);
  expect(workshop.github.requests.filter((one) => one.endsWith('/issues/7/comments'))).toHaveLength(
    3 + 1 + 3,
  );
});

test.for([
  { what: 'what passes', match: 'GET /repos/acme/infra/issues/7/comments', status: 502 },
  { what: 'being too fast', match: 'POST /repos/acme/infra/issues/7/comments', status: 403 },
  { what: 'being too fast for labels', match: 'POST /repos/acme/infra/issues/7/labels', status: 429 },
  {
    what: 'an answer that got lost',
    match: 'POST /repos/acme/infra/issues/7/comments',
    status: 502,
    after: true,
  },
])('$what is tried again, and leaves one comment and one label', async ({ what: _, ...fault }) => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  workshop.github.faults.push({ ...fault, headers: { 'retry-after': '0' } });
  const { ok, log } = await planned(workshop, env.sandbox.endpoint);
  expect(ok, log).toBe(true);
  expect(workshop.github.faults).toEqual([]);
  expect(workshop.github.comments).toHaveLength(1);
  expect(workshop.github.labels).toEqual([LABEL.changes]);
});

test('a token that may not write is told with what it lacks; a wrong one is not printed', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  workshop.github.faults.push({ match: 'POST /repos/acme/infra/issues/7/comments', status: 403 });
  const denied = await planned(workshop, env.sandbox.endpoint);
  expect(denied.ok).toBe(false);
  expect(denied.log).toContain('HTTP 403');
  expect(denied.log).toContain('pull-requests: write');

  const wrong = await workshop.action(
    { command: 'plan', token: 'ghp_wrong-and-secret' },
    { endpoint: env.sandbox.endpoint },
  );
  expect(wrong.ok).toBe(false);
  expect(wrong.log).toContain('POST /graphql: HTTP 401: Bad credentials');
  expect(wrong.log).not.toContain('ghp_wrong-and-secret');
});

test('a redirect is not followed: the token goes nowhere else', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await using elsewhere = await aWorkshop();
  const headers = { location: elsewhere.github.url };
  workshop.github.faults.push({ match: 'GET /repos', status: 301, headers });
  const { ok, log } = await planned(workshop, env.sandbox.endpoint);
  expect(ok).toBe(false);
  expect(log).toContain('HTTP 301');
  expect(elsewhere.github.requests).toEqual([]);
});

test('a plan that fails edits the same comment: the old plan must not seem to hold', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await planned(workshop, env.sandbox.endpoint);
  await workshop.write(
    'specs/bad.yaml',
    `${TAX_SPEC}    - prefx: "\`\`\`\`<!-- x --> ${'`'.repeat(9)} @everyone"\n`,
  );
  const failed = await workshop.action({ command: 'plan' }, { endpoint: env.sandbox.endpoint });
  expect(failed.ok).toBe(false);
  expect(failed.outputs).toMatchObject({ 'exit-code': '65', checksum: '', changes: '' });
  expect(workshop.github.comments).toHaveLength(1);
  expect(workshop.github.labels).toEqual([LABEL.blocked]);
  const body = workshop.github.comments[0]?.body ?? '';
  expect(body.split('\n').slice(0, 3)).toEqual([MARKER, '', '### replikey: no plan could be made']);
  expect(body).toContain('It ended with exit code 65 (invalid specs):');
  // The fence is longer than any inside, so that all that the spec says stays within it.
  const [, fence = '', inside = ''] = /^(`+)text\n([\s\S]*?)\n\1$/m.exec(body) ?? [];
  expect(fence).toBe('`'.repeat(10));
  expect(inside).toContain('specs/bad.yaml:9:7  spec.rules[1].prefx: unknown field');
  expect(body.slice(body.lastIndexOf(fence) + fence.length)).toMatch(/^\n\n<sub>For commit/);
});

test('without credentials there is no plan, and the comment says why', async () => {
  await using workshop = await aWorkshop();
  await workshop.write('specs/tax.yaml', TAX_SPEC);
  const { ok, outputs } = await workshop.action({ command: 'plan' });
  expect(ok).toBe(false);
  expect(outputs['exit-code']).toBe('4');
  expect(workshop.github.comments[0]?.body).toContain('exit code 4 (no usable credentials');
});

test("a fork's pull request gets a real plan without credentials, in the summary of the run", async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await workshop.write('specs/tax.yaml', TAX_SPEC);
  const endpoint = env.sandbox.endpoint;
  const observed = await workshop.action({ command: 'observe' }, { endpoint, push: true });
  expect(observed.log).not.toContain(TOKEN);
  expect(observed.ok, observed.log).toBe(true);
  expect(observed.outputs.file).toBe(path.join(workshop.folder, 'observed.json'));
  const here = await workshop.action({ command: 'plan', comment: 'false', label: 'false' }, { endpoint });
  expect(workshop.github.requests).toEqual([]);

  // GitHub gives forks a token that may read.
  workshop.github.faults.push({ match: 'POST /repos', status: 403 });
  const there = await workshop.action({ command: 'plan', observed: 'observed.json' }, { fork: true });
  expect(there.ok, there.log).toBe(true);
  expect(there.log).toContain('a fork may not be commented on: the plan is in the summary of the run');
  expect(there.summary).toContain('### replikey: 13 to create');
  expect(there.summary).toMatch(
    /^As observed (less than a minute|\d min) ago \(20\S+Z\); AWS is not asked\.$/m,
  );
  expect(there.outputs.checksum).toBe(here.outputs.checksum);
  expect(workshop.github.comments).toEqual([]);
});

test('what was approved is applied, and once only', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  const { outputs } = await planned(workshop, env.sandbox.endpoint);
  workshop.github.pulls.push(pull({ number: 5, merge_commit_sha: HEAD }), pull());
  const merged = { endpoint: env.sandbox.endpoint, push: true };
  const applied = await workshop.action({ command: 'apply' }, merged);
  expect(applied.log).not.toContain(TOKEN);
  expect(applied.ok, applied.log).toBe(true);
  expect(applied.log).toContain(outputs.checksum);
  expect(applied.summary).toContain('### replikey: applied');
  expect(applied.summary).toContain('Converged: 13 applied');
  const again = await workshop.action({ command: 'apply' }, merged);
  expect(again.ok, again.log).toBe(true);
  expect(again.summary).toContain('Nothing to do');
});

test('nothing is applied once the world has moved, and the summary shows the plan as it is now', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await planned(workshop, env.sandbox.endpoint);
  workshop.github.pulls.push(pull());
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/'));
  env.sandbox.log.reset();
  const on = { endpoint: env.sandbox.endpoint, push: true };
  const { ok, outputs, summary } = await workshop.action({ command: 'apply' }, on);
  expect(ok).toBe(false);
  expect(outputs['exit-code']).toBe('3');
  expect(summary).toContain('### replikey: refused, nothing was changed');
  expect(summary).toContain('the plan differs from the approved plan');
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);

  const [, checksum = ''] = /Checksum ([0-9a-f]{16})/.exec(summary) ?? [];
  const byHand = await workshop.action({ command: 'apply', plan: checksum }, on);
  expect(byHand.ok, byHand.log).toBe(true);
  expect(byHand.summary).toContain('### replikey: applied');
});

test('nothing is applied that nobody approved', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await workshop.write('specs/tax.yaml', TAX_SPEC);
  const on = { endpoint: env.sandbox.endpoint, push: true };
  const refused = async (why: string) => {
    const { ok, log, summary } = await workshop.action({ command: 'apply' }, on);
    expect(ok).toBe(false);
    expect(log).toContain(why);
    expect(summary).toContain(why);
  };
  await refused(`no pull request was merged as ${MERGED}`);
  workshop.github.pulls.push(pull({ base: { ref: 'release' } }), pull({ merged_at: null }));
  await refused(`no pull request was merged as ${MERGED}`);
  workshop.github.pulls.push(pull());
  await refused('request 7 shows no plan');

  const { body } = await planned(workshop, env.sandbox.endpoint).then(
    () => workshop.github.comments[0] ?? { body: '' },
  );
  const seal = body.split('\n')[1] ?? '';
  expect(seal).toContain('checksum');
  workshop.github.comments.splice(0, 1, { id: 1, user: { login: 'mallory' }, body });
  await refused('request 7 shows no plan');
  workshop.github.comments.splice(0, 1, { id: 1, user: { login: BOT }, body: `${MARKER}\n\n${seal}` });
  await refused('request 7 shows no plan');
  const other = body.replace(`of commit ${HEAD}`, `of commit ${MERGED}`);
  workshop.github.comments.splice(0, 1, { id: 1, user: { login: BOT }, body: other });
  await refused(`for commit ${MERGED}, but ${HEAD} was merged`);

  workshop.github.comments.splice(0, 1, { id: 1, user: { login: BOT }, body: body.replaceAll('\n', '\r\n') });
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  expect((await workshop.action({ command: 'apply' }, on)).ok).toBe(true);
});

test('the doctor leaves its findings as SARIF, and its exit code', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await workshop.write('specs/tax.yaml', TAX_SPEC);
  const on = { endpoint: env.sandbox.endpoint, push: true };
  const missing = await workshop.action({ command: 'doctor' }, on);
  expect(missing.ok).toBe(false);
  expect(missing.outputs['exit-code']).toBe('1');
  const sarif = JSON.parse(await readFile(missing.outputs.file ?? '', 'utf8'));
  expect(sarif.runs[0].results[0].message.text).not.toBe('');
  expect(missing.summary).toContain(sarif.runs[0].results[0].message.text);

  await env.reconcile();
  const healthy = await workshop.action({ command: 'doctor' }, on);
  expect(healthy.ok, healthy.log).toBe(true);
  expect(healthy.outputs['exit-code']).toBe('0');
});

test('findings lie below the root of the repository, whatever folder of it the action works in', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  await mkdir(path.join(workshop.folder, 'infra/specs'), { recursive: true });
  await workshop.write('infra/specs/tax.yaml', TAX_SPEC);
  await env.reconcile();
  await denied(env);
  for (const command of ['plan', 'doctor']) {
    const inputs = { command, 'working-directory': 'infra' };
    const { outputs, log } = await workshop.action(inputs, { endpoint: env.sandbox.endpoint });
    const { runs } = JSON.parse(await readFile(outputs.file ?? '', 'utf8'));
    expect(runs[0].results[0], log).toMatchObject({
      ruleId: 'RK1308',
      locations: [{ physicalLocation: { artifactLocation: { uri: 'infra/specs/tax.yaml' } } }],
    });
  }
});

test('a plan that fails leaves no findings', async () => {
  await using workshop = await aWorkshop();
  await workshop.write('specs/bad.yaml', 'kind: [');
  const { outputs } = await workshop.action({ command: 'plan' });
  expect(outputs).toMatchObject({ 'exit-code': '65', file: '' });
});

test('names of branches, of specs and of paths are never run', async () => {
  await using env = await testEnv();
  await using workshop = await aWorkshop();
  const hostile = '`touch pwned`$(touch pwned);touch pwned #';
  await workshop.write(`specs/${hostile.replaceAll(' ', '\t')}.yaml`, TAX_SPEC);
  await workshop.write('specs/::error::x.yaml', 'kind: [');
  const inputs = { command: 'plan', specs: `specs/ ${hostile}`, arguments: `--only ${hostile}` };
  const { ok, log } = await workshop.action(inputs, { endpoint: env.sandbox.endpoint, branch: hostile });
  expect(ok).toBe(false);
  expect(await filesIn(workshop.folder)).not.toContain('pwned');
  // A line of the log that reads as a command is printed only where commands are stopped.
  const [, stopped = ''] = /^::stop-commands::(.+)$/m.exec(log) ?? [];
  expect(stopped).not.toBe('');
  const outside = log.replace(new RegExp(`^::stop-commands::${stopped}$[\\s\\S]*^::${stopped}::$`, 'm'), '');
  expect(outside).not.toContain('::');
});

test('what cannot be meant is refused before anything is asked', async () => {
  await using workshop = await aWorkshop();
  const unknown = await workshop.action({ command: 'destroy' });
  expect(unknown.log).toContain('command: one of plan, apply, doctor, observe');
  const checksum = await workshop.action({ command: 'apply', plan: 'latest' }, { push: true });
  expect(checksum.log).toContain('plan: the checksum of the plan to apply');
  expect([unknown.ok, checksum.ok]).toEqual([false, false]);
  expect(workshop.github.requests).toEqual([]);
});

test('paths begin in the working directory, and the sandbox rehearses it without an account', async () => {
  await using workshop = await aWorkshop();
  await workshop.write('specs/tax.yaml', TAX_SPEC);
  const inputs = { command: 'plan', specs: 'tax.yaml', arguments: '--sandbox', 'working-directory': 'specs' };
  const { ok, log } = await workshop.action(inputs);
  expect(ok, log).toBe(true);
  expect(workshop.github.labels).toEqual([LABEL.changes]);
  expect(childEnvironment(undefined)).not.toHaveProperty('AWS_ACCESS_KEY_ID');
});

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).map((name) => path.basename(name));
