import { describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.ts';
import type { InjectedFault } from '../../src/sandbox/faults.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { STACK_TRACE_LINE } from './assertions.ts';

const errorResponse = (status: number, code: string) => ({ status, code });

/** A fault, and the exit code and output of the built program. */
const CASES: [name: string, fault: InjectedFault, code: number, output: RegExp][] = [
  [
    'a single 500',
    { match: '*', nth: 3, what: errorResponse(500, 'InternalError') },
    EXIT.ok,
    /^Converged: 13 applied/m,
  ],
  ['throttling of three calls', { match: 'kms', nth: 2, times: 3, what: 'throttle' }, EXIT.ok, /^Converged/m],
  ['a lost response', { match: 'CreateKey', nth: 1, what: 'reset-after' }, EXIT.ok, /^Converged/m],
  [
    'a denied write',
    { match: 'PutRolePolicy', nth: 1, what: errorResponse(403, 'AccessDenied') },
    EXIT.failed,
    /^Not converged: \d+ applied, 1 failed, \d+ skipped/m,
  ],
  [
    'a denied read',
    { match: 'GetBucketVersioning', nth: 1, what: errorResponse(403, 'AccessDenied') },
    EXIT.failed,
    /^Not converged: .* [1-9] blocked/m,
  ],
  [
    'credentials that expired before the first read',
    { match: '*', nth: 1, times: 1_000, what: errorResponse(403, 'ExpiredToken') },
    EXIT.credentials,
    /ExpiredToken.*renew the credentials/,
  ],
  [
    'credentials that expire during apply',
    { match: 'PutRolePolicy', nth: 1, times: 1_000, what: errorResponse(403, 'ExpiredToken') },
    EXIT.failed,
    /failed iam\.role-policy\/replikey-acme-tax: .*ExpiredToken/,
  ],
];

test.each(CASES)('report: %s has the right exit code and message', async (_, fault, code, output) => {
  await using env = await testEnv(TAX_SPEC, { faultSettings: { faults: [fault] } });
  const ran = await runCli(['--once', '-'], { endpoint: env.sandbox.endpoint, input: TAX_SPEC });
  expect(`${ran.stdout}${ran.stderr}`).toMatch(output);
  expect(`${ran.stdout}${ran.stderr}`).not.toMatch(STACK_TRACE_LINE);
  expect(ran.code).toBe(code);
});

describe('report: credentials that expire after apply, during the last read', () => {
  // replikey reads the configuration for the plan, after the write, and at the end.
  const fault: InjectedFault = {
    match: 'GetBucketReplication',
    nth: 3,
    what: errorResponse(400, 'ExpiredToken'),
  };

  test.each(['text', 'json', 'ndjson'])('lists the applied changes as %s', async (form) => {
    await using env = await testEnv(TAX_SPEC, { faultSettings: { faults: [fault] } });
    const { code, stdout, stderr } = await runCli(['--once', '--output', form, '-'], {
      endpoint: env.sandbox.endpoint,
      input: TAX_SPEC,
    });
    expect(code).toBe(EXIT.credentials);
    expect(stderr).toMatch(/ExpiredToken.*renew the credentials/);
    for (const step of [
      's3.replication/acme-tax',
      'iam.role/replikey-acme-tax',
      's3.bucket/acme-tax-replica',
    ])
      expect(stdout).toContain(step);
  });
});
