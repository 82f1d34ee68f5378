import { describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.ts';
import type { InjectedFault } from '../../src/sandbox/faults.ts';
import { runCli } from '../support/cli.ts';
import { TAX_SPEC, testEnv } from '../support/env.ts';
import { STACK_TRACE_LINE } from './assertions.ts';

const answer = (status: number, code: string) => ({ status, code });

/** A fault, what the program that ships ends with, and what it says. */
const CASES: [name: string, fault: InjectedFault, code: number, said: RegExp][] = [
  [
    '500 once',
    { match: '*', nth: 3, what: answer(500, 'InternalError') },
    EXIT.ok,
    /^Converged: 13 applied/m,
  ],
  ['throttling for a while', { match: 'kms', nth: 2, times: 3, what: 'throttle' }, EXIT.ok, /^Converged/m],
  ['an answer that is lost', { match: 'CreateKey', nth: 1, what: 'reset-after' }, EXIT.ok, /^Converged/m],
  [
    'a write that is denied',
    { match: 'PutRolePolicy', nth: 1, what: answer(403, 'AccessDenied') },
    EXIT.failed,
    /^Not converged: \d+ applied, 1 failed, \d+ skipped/m,
  ],
  [
    'a read that is denied',
    { match: 'GetBucketVersioning', nth: 1, what: answer(403, 'AccessDenied') },
    EXIT.failed,
    /^Not converged: .* [1-9] blocked/m,
  ],
  [
    'credentials that have expired before anything is read',
    { match: '*', nth: 1, times: 1_000, what: answer(403, 'ExpiredToken') },
    EXIT.credentials,
    /ExpiredToken.*renew the credentials/,
  ],
  [
    'credentials that expire while it writes',
    { match: 'PutRolePolicy', nth: 1, times: 1_000, what: answer(403, 'ExpiredToken') },
    EXIT.failed,
    /failed iam\.role-policy\/replikey-acme-tax: .*ExpiredToken/,
  ],
];

test.each(CASES)('%s is told as it is, by exit code and in words', async (_, fault, code, said) => {
  await using env = await testEnv(TAX_SPEC, { faultSettings: { faults: [fault] } });
  const ran = await runCli(['--once', '-'], { endpoint: env.sandbox.endpoint, input: TAX_SPEC });
  expect(`${ran.stdout}${ran.stderr}`).toMatch(said);
  expect(`${ran.stdout}${ran.stderr}`).not.toMatch(STACK_TRACE_LINE);
  expect(ran.code).toBe(code);
});

describe('credentials that expire when everything was applied and is read again', () => {
  // The third reading of the configuration: one for the plan, one after the write, one at the end.
  const fault: InjectedFault = { match: 'GetBucketReplication', nth: 3, what: answer(400, 'ExpiredToken') };

  test.each(['text', 'json', 'ndjson'])('what was applied is told all the same, as %s', async (form) => {
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
