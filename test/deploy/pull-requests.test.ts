import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { RECORDED } from '../iac/recorded.ts';
import { denyReplicaWrites } from '../report/plans.ts';
import { childEnvironment } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { BOT, TOKEN } from './pull-requests-github.ts';
import { HEAD, MERGED, startRunner, type TestRunner } from './pull-requests-runner.ts';

const MARKER = '<!-- replikey: plan -->';
const LABEL = {
  none: 'replikey: no changes',
  changes: 'replikey: changes',
  removals: 'replikey: removals',
  blocked: 'replikey: blocked',
};

/** A merged pull request, as the GitHub API returns it. */
const mergedPull = (overrides: object = {}) => ({
  number: 7,
  merged_at: '2026-11-23T18:16:15Z',
  merge_commit_sha: MERGED,
  base: { ref: 'main' },
  head: { sha: HEAD },
  ...overrides,
});

async function runPlan(runner: TestRunner, endpoint: string) {
  await runner.write('specs/tax.yaml', TAX_SPEC);
  return runner.action({ command: 'plan' }, { endpoint });
}

test('action: the first plan creates a comment, a label and a summary', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  const { ok, outputs, summary, log } = await runPlan(runner, env.sandbox.endpoint);
  expect(log).not.toContain(TOKEN);
  expect(ok, log).toBe(true);
  expect(outputs).toMatchObject({
    'exit-code': '0',
    changes: '13',
    checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(summary).toContain('### replikey: 13 to create');
  expect(await readFile(outputs.markdown ?? '', 'utf8')).toBe(summary);

  const { comments, labels } = runner.github;
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

test('action: a later plan edits the comment, replaces the label and keeps foreign labels', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await runPlan(runner, env.sandbox.endpoint);
  runner.github.labels.push('enhancement');
  await env.reconcile();
  await runPlan(runner, env.sandbox.endpoint);
  expect(runner.github.comments).toHaveLength(1);
  expect(runner.github.comments[0]?.body).toContain('### replikey: Nothing to do');
  expect(runner.github.labels).toEqual(['enhancement', LABEL.none]);
});

test('action: a plan with removals, and a refused plan: sets the matching label', async () => {
  const removing = TAX_SPEC.replace('spec:', 'spec:\n  policy: { deletion: Remove }');
  await using env = await testEnv(`${removing}    - name: ledgers\n      prefix: Ledgers/\n`);
  await env.reconcile();
  const options = { endpoint: env.sandbox.endpoint };
  await using runner = await startRunner();
  await runner.write('specs/tax.yaml', removing);
  const removal = '--prune --account 111122223333 --drain 0s --allow lose-in-flight --allow remove-pair';
  await runner.action({ command: 'plan', arguments: removal }, options);
  expect(runner.github.labels).toEqual([LABEL.removals]);

  const specWithOtherKey = TAX_SPEC.replace('alias/acme-tax }', 'alias/another }');
  await runner.write('specs/tax.yaml', specWithOtherKey);
  await runner.action({ command: 'plan' }, options);
  expect(runner.github.labels).toEqual([LABEL.blocked]);
  await runner.action({ command: 'plan', arguments: '--allow change-default-key' }, options);
  expect(runner.github.labels).not.toContain(LABEL.blocked);
});

test('action: foreign comments contain the marker: leaves them unchanged', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  const foreign = { id: 1, user: { login: 'mallory' }, body: `${MARKER}\nmine` };
  const quoted = { id: 2, user: { login: BOT }, body: `of another workflow: ${MARKER}` };
  runner.github.comments.push({ ...foreign }, { ...quoted });
  await runPlan(runner, env.sandbox.endpoint);
  expect(runner.github.comments.slice(0, 2)).toEqual([foreign, quoted]);
  expect(runner.github.comments).toHaveLength(3);
});

test('action: 230 foreign comments: finds its own comment', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  const foreignComments = Array.from({ length: 230 }, (_, id) => ({
    id,
    user: { login: 'ann' },
    body: `+${id}`,
  }));
  runner.github.comments.push(...foreignComments);
  await runPlan(runner, env.sandbox.endpoint);
  await runPlan(runner, env.sandbox.endpoint);
  expect(runner.github.comments).toHaveLength(231);
  expect(runner.github.requests.filter((operation) => operation.endsWith('/issues/7/comments'))).toHaveLength(
    3 + 1 + 3,
  );
});

test.for([
  { problem: 'a transient error', match: 'GET /repos/acme/infra/issues/7/comments', status: 502 },
  { problem: 'throttling', match: 'POST /repos/acme/infra/issues/7/comments', status: 403 },
  { problem: 'throttling of labels', match: 'POST /repos/acme/infra/issues/7/labels', status: 429 },
  {
    problem: 'a lost response',
    match: 'POST /repos/acme/infra/issues/7/comments',
    status: 502,
    isExecuted: true,
  },
])('action: $problem: retries, and leaves one comment and one label', async ({ problem: _, ...fault }) => {
  await using env = await testEnv();
  await using runner = await startRunner();
  runner.github.faults.push({ ...fault, headers: { 'retry-after': '0' } });
  const { ok, log } = await runPlan(runner, env.sandbox.endpoint);
  expect(ok, log).toBe(true);
  expect(runner.github.faults).toEqual([]);
  expect(runner.github.comments).toHaveLength(1);
  expect(runner.github.labels).toEqual([LABEL.changes]);
});

test('action: a token without permission: names the missing permission; a wrong token is not printed', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  runner.github.faults.push({ match: 'POST /repos/acme/infra/issues/7/comments', status: 403 });
  const withoutPermission = await runPlan(runner, env.sandbox.endpoint);
  expect(withoutPermission.ok).toBe(false);
  expect(withoutPermission.log).toContain('HTTP 403');
  expect(withoutPermission.log).toContain('pull-requests: write');

  const withWrongToken = await runner.action(
    { command: 'plan', token: 'ghp_wrong-and-secret' },
    { endpoint: env.sandbox.endpoint },
  );
  expect(withWrongToken.ok).toBe(false);
  expect(withWrongToken.log).toContain('POST /graphql: HTTP 401: Bad credentials');
  expect(withWrongToken.log).not.toContain('ghp_wrong-and-secret');
});

test('action: a redirect: does not follow it, so that the token stays with the API', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await using otherRunner = await startRunner();
  const headers = { location: otherRunner.github.url };
  runner.github.faults.push({ match: 'GET /repos', status: 301, headers });
  const { ok, log } = await runPlan(runner, env.sandbox.endpoint);
  expect(ok).toBe(false);
  expect(log).toContain('HTTP 301');
  expect(otherRunner.github.requests).toEqual([]);
});

test('action: a failed plan: replaces the plan in the comment', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await runPlan(runner, env.sandbox.endpoint);
  await runner.write(
    'specs/bad.yaml',
    `${TAX_SPEC}    - prefx: "\`\`\`\`<!-- x --> ${'`'.repeat(9)} @everyone"\n`,
  );
  const failed = await runner.action({ command: 'plan' }, { endpoint: env.sandbox.endpoint });
  expect(failed.ok).toBe(false);
  expect(failed.outputs).toMatchObject({ 'exit-code': '65', checksum: '', changes: '' });
  expect(runner.github.comments).toHaveLength(1);
  expect(runner.github.labels).toEqual([LABEL.blocked]);
  const body = runner.github.comments[0]?.body ?? '';
  expect(body.split('\n').slice(0, 3)).toEqual([MARKER, '', '### replikey: the plan failed']);
  expect(body).toContain('replikey exited with exit code 65 (invalid specs):');
  // The fence is longer than any fence in the text, so that text from the spec cannot end the block.
  const [, fence = '', inside = ''] = /^(`+)text\n([\s\S]*?)\n\1$/m.exec(body) ?? [];
  expect(fence).toBe('`'.repeat(10));
  expect(inside).toContain('specs/bad.yaml:9:7  spec.rules[1].prefx: unknown field');
  expect(body.slice(body.lastIndexOf(fence) + fence.length)).toMatch(/^\n\n<sub>For commit/);
});

test('action: no credentials: the comment shows the failure', async () => {
  await using runner = await startRunner();
  await runner.write('specs/tax.yaml', TAX_SPEC);
  const { ok, outputs } = await runner.action({ command: 'plan' });
  expect(ok).toBe(false);
  expect(outputs['exit-code']).toBe('4');
  expect(runner.github.comments[0]?.body).toContain('exit code 4 (no usable credentials');
});

test('action: a pull request of a fork: plans from a snapshot without credentials, in the summary', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await runner.write('specs/tax.yaml', TAX_SPEC);
  const endpoint = env.sandbox.endpoint;
  const observed = await runner.action({ command: 'observe' }, { endpoint, push: true });
  expect(observed.log).not.toContain(TOKEN);
  expect(observed.ok, observed.log).toBe(true);
  expect(observed.outputs.file).toBe(path.join(runner.folder, 'observed.json'));
  const ownPlan = await runner.action({ command: 'plan', comment: 'false', label: 'false' }, { endpoint });
  expect(runner.github.requests).toEqual([]);

  // GitHub gives forks a read-only token.
  runner.github.faults.push({ match: 'POST /repos', status: 403 });
  const forkPlan = await runner.action({ command: 'plan', observed: 'observed.json' }, { fork: true });
  expect(forkPlan.ok, forkPlan.log).toBe(true);
  expect(forkPlan.log).toContain(
    'no permission to comment for a fork: the plan is in the summary of the run',
  );
  expect(forkPlan.summary).toContain('### replikey: 13 to create');
  expect(forkPlan.summary).toMatch(/^Snapshot taken (less than a minute|\d min) ago \(20\S+Z\), not AWS\.$/m);
  // The checksum of a plan from a snapshot permits no apply.
  expect(forkPlan.outputs.changes).toBe(ownPlan.outputs.changes);
  expect(forkPlan.outputs.checksum).not.toBe(ownPlan.outputs.checksum);
  expect(runner.github.comments).toEqual([]);
});

test('action: an approved plan: applies it, and a second run changes nothing', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  const { outputs } = await runPlan(runner, env.sandbox.endpoint);
  runner.github.pulls.push(mergedPull({ number: 5, merge_commit_sha: HEAD }), mergedPull());
  const options = { endpoint: env.sandbox.endpoint, push: true };
  const applied = await runner.action({ command: 'apply' }, options);
  expect(applied.log).not.toContain(TOKEN);
  expect(applied.ok, applied.log).toBe(true);
  expect(applied.log).toContain(outputs.checksum);
  expect(applied.summary).toContain('### replikey: applied');
  expect(applied.summary).toContain('Converged: 13 applied');
  const again = await runner.action({ command: 'apply' }, options);
  expect(again.ok, again.log).toBe(true);
  expect(again.summary).toContain('Nothing to do');
});

test('action: AWS changed since the approval: refuses to apply, and the summary shows the new plan', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await runPlan(runner, env.sandbox.endpoint);
  runner.github.pulls.push(mergedPull());
  await env.reconcileWith(TAX_SPEC.replace('prefix: Tax/', 'prefix: Taxes/'));
  env.sandbox.log.reset();
  const options = { endpoint: env.sandbox.endpoint, push: true };
  const { ok, outputs, summary } = await runner.action({ command: 'apply' }, options);
  expect(ok).toBe(false);
  expect(outputs['exit-code']).toBe('3');
  expect(summary).toContain('### replikey: refused, no changes made');
  expect(summary).toContain('the plan differs from the approved plan');
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);

  const [, checksum = ''] = /Checksum ([0-9a-f]{16})/.exec(summary) ?? [];
  const byHand = await runner.action({ command: 'apply', plan: checksum }, options);
  expect(byHand.ok, byHand.log).toBe(true);
  expect(byHand.summary).toContain('### replikey: applied');
});

test('action: no approved plan: refuses to apply', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await runner.write('specs/tax.yaml', TAX_SPEC);
  const options = { endpoint: env.sandbox.endpoint, push: true };
  const expectRefusal = async (reason: string) => {
    const { ok, log, summary } = await runner.action({ command: 'apply' }, options);
    expect(ok).toBe(false);
    expect(log).toContain(reason);
    expect(summary).toContain(reason);
  };
  await expectRefusal(`no pull request was merged as ${MERGED}`);
  runner.github.pulls.push(mergedPull({ base: { ref: 'release' } }), mergedPull({ merged_at: null }));
  await expectRefusal(`no pull request was merged as ${MERGED}`);
  runner.github.pulls.push(mergedPull());
  await expectRefusal('request 7 has no comment with an approved plan');

  const { body } = await runPlan(runner, env.sandbox.endpoint).then(
    () => runner.github.comments[0] ?? { body: '' },
  );
  const seal = body.split('\n')[1] ?? '';
  expect(seal).toContain('checksum');
  runner.github.comments.splice(0, 1, { id: 1, user: { login: 'mallory' }, body });
  await expectRefusal('request 7 has no comment with an approved plan');
  runner.github.comments.splice(0, 1, { id: 1, user: { login: BOT }, body: `${MARKER}\n\n${seal}` });
  await expectRefusal('request 7 has no comment with an approved plan');
  const otherCommitBody = body.replace(`of commit ${HEAD}`, `of commit ${MERGED}`);
  runner.github.comments.splice(0, 1, { id: 1, user: { login: BOT }, body: otherCommitBody });
  await expectRefusal(`for commit ${MERGED}, but ${HEAD} was merged`);

  runner.github.comments.splice(0, 1, { id: 1, user: { login: BOT }, body: body.replaceAll('\n', '\r\n') });
  expect(env.sandbox.log.entries.filter(({ write }) => write)).toEqual([]);
  expect((await runner.action({ command: 'apply' }, options)).ok).toBe(true);
});

test('action: doctor: outputs a SARIF file with the findings, and the exit code', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await runner.write('specs/tax.yaml', TAX_SPEC);
  const options = { endpoint: env.sandbox.endpoint, push: true };
  const missing = await runner.action({ command: 'doctor' }, options);
  expect(missing.ok).toBe(false);
  expect(missing.outputs['exit-code']).toBe('1');
  const sarif = JSON.parse(await readFile(missing.outputs.file ?? '', 'utf8'));
  expect(sarif.runs[0].results[0].message.text).not.toBe('');
  expect(missing.summary).toContain(sarif.runs[0].results[0].message.text);

  await env.reconcile();
  const healthy = await runner.action({ command: 'doctor' }, options);
  expect(healthy.ok, healthy.log).toBe(true);
  expect(healthy.outputs['exit-code']).toBe('0');
});

test('action: doctor with a Terraform plan: needs no specs and no credentials, and reports the addresses', async () => {
  await using runner = await startRunner();
  await mkdir(path.join(runner.folder, 'infra'));
  await runner.write(
    'infra/plan.json',
    await readFile(`${RECORDED}/same-account-no-kms-statement.json`, 'utf8'),
  );
  const inputs = { command: 'doctor', terraform: 'plan.json', 'working-directory': 'infra' };
  const { ok, outputs, summary, log } = await runner.action(inputs, {});
  expect(ok).toBe(false);
  expect(outputs['exit-code'], log).toBe('1');
  expect(summary).toContain('(in aws_iam_policy.replication)');
  const { runs } = JSON.parse(await readFile(outputs.file ?? '', 'utf8'));
  expect(runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri).toBe('infra/plan.json');
});

test('action: with a working directory: paths in findings are relative to the repository root', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  await mkdir(path.join(runner.folder, 'infra/specs'), { recursive: true });
  await runner.write('infra/specs/tax.yaml', TAX_SPEC);
  await env.reconcile();
  await denyReplicaWrites(env);
  for (const command of ['plan', 'doctor']) {
    const inputs = { command, 'working-directory': 'infra' };
    const { outputs, log } = await runner.action(inputs, { endpoint: env.sandbox.endpoint });
    const { runs } = JSON.parse(await readFile(outputs.file ?? '', 'utf8'));
    expect(runs[0].results[0], log).toMatchObject({
      ruleId: 'RK1308',
      locations: [{ physicalLocation: { artifactLocation: { uri: 'infra/specs/tax.yaml' } } }],
    });
  }
});

test('action: a failed plan: outputs no findings file', async () => {
  await using runner = await startRunner();
  await runner.write('specs/bad.yaml', 'kind: [');
  const { outputs } = await runner.action({ command: 'plan' });
  expect(outputs).toMatchObject({ 'exit-code': '65', file: '' });
});

test('action: hostile names of branches, specs and paths: executes none of them', async () => {
  await using env = await testEnv();
  await using runner = await startRunner();
  const hostile = '`touch pwned`$(touch pwned);touch pwned #';
  await runner.write(`specs/${hostile.replaceAll(' ', '\t')}.yaml`, TAX_SPEC);
  await runner.write('specs/::error::x.yaml', 'kind: [');
  const inputs = { command: 'plan', specs: `specs/ ${hostile}`, arguments: `--only ${hostile}` };
  const { ok, log } = await runner.action(inputs, { endpoint: env.sandbox.endpoint, branch: hostile });
  expect(ok).toBe(false);
  expect(await filesIn(runner.folder)).not.toContain('pwned');
  // A log line that looks like a workflow command appears only while workflow commands are stopped.
  const [, stopToken = ''] = /^::stop-commands::(.+)$/m.exec(log) ?? [];
  expect(stopToken).not.toBe('');
  const outside = log.replace(
    new RegExp(`^::stop-commands::${stopToken}$[\\s\\S]*^::${stopToken}::$`, 'm'),
    '',
  );
  expect(outside).not.toContain('::');
});

test('action: an invalid command or checksum: fails before any request', async () => {
  await using runner = await startRunner();
  const unknown = await runner.action({ command: 'destroy' });
  expect(unknown.log).toContain('invalid command: use one of plan, apply, doctor, observe');
  const checksum = await runner.action({ command: 'apply', plan: 'latest' }, { push: true });
  expect(checksum.log).toContain('invalid plan: use the checksum of the plan to apply');
  expect([unknown.ok, checksum.ok]).toEqual([false, false]);
  expect(runner.github.requests).toEqual([]);
});

test('action: with a working directory and --sandbox: resolves paths in it, and needs no account', async () => {
  await using runner = await startRunner();
  await runner.write('specs/tax.yaml', TAX_SPEC);
  const inputs = { command: 'plan', specs: 'tax.yaml', arguments: '--sandbox', 'working-directory': 'specs' };
  const { ok, log } = await runner.action(inputs);
  expect(ok, log).toBe(true);
  expect(runner.github.labels).toEqual([LABEL.changes]);
  expect(childEnvironment(undefined)).not.toHaveProperty('AWS_ACCESS_KEY_ID');
});

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).map((name) => path.basename(name));
