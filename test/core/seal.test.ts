import { describe, expect, test } from 'vitest';
import { formatAwsError } from '../../src/aws/errors.ts';
import type { PlanContent, Step } from '../../src/core/resource.ts';
import { type SealInputs, seal } from '../../src/core/seal.ts';

const STEP: Step = {
  id: 's3.versioning/acme-tax',
  kind: 's3.versioning',
  action: 'update',
  at: { region: 'us-east-1' },
  patch: [{ op: 'replace', path: '/status', value: 'Enabled' }],
  before: { '/status': 'Suspended' },
  desired: { bucket: 'acme-tax', status: 'Enabled' },
  why: [],
  calls: ['s3:PutBucketVersioning'],
  needs: [],
  risks: [],
  pairs: ['tax'],
  from: { file: 'tax.yaml', line: 5, column: 3 },
};
const CONTENT: PlanContent = {
  waves: [[STEP]],
  blocked: [],
  withheld: [],
  notes: [],
  handover: [],
  housekeeping: [],
  retained: [],
  unchanged: 3,
};
const INPUTS: SealInputs = {
  accounts: { '': '111122223333' },
  guardrails: { maxChanges: 20 },
  verdicts: [{ bucket: 'acme-tax', rule: 'replikey/tax/tax', verdict: 'proven', codes: [] }],
};
const digestOf = (content: Partial<PlanContent> = {}, inputs: Partial<SealInputs> = {}): string =>
  seal({ ...CONTENT, ...content }, { ...INPUTS, ...inputs }).digest;
const stepWith = (fields: Partial<Step>): Partial<PlanContent> => ({ waves: [[{ ...STEP, ...fields }]] });

function blockedWith(requestId: string): Partial<PlanContent> {
  const error = Object.assign(new Error('Access Denied'), {
    name: 'AccessDenied',
    $metadata: { httpStatusCode: 403, requestId },
  });
  const why = `cannot be read: ${formatAwsError(error, 's3:GetBucketVersioning', { region: 'us-east-1' })}`;
  expect(why).toContain(requestId);
  return { blocked: [{ id: STEP.id, why, pairs: ['tax'], from: STEP.from }] };
}

describe('seal', () => {
  test.each([
    ['position in the YAML', stepWith({ from: { file: 'other.yaml', line: 1, column: 1 } })],
    ['notes', { notes: [{ id: STEP.id, message: 'a note', pairs: ['tax'] }] }],
    ['number of unchanged resources', { unchanged: 4 }],
  ] as [string, Partial<PlanContent>][])('digest: does not depend on the %s', (_, content) => {
    expect(digestOf(content)).toBe(digestOf());
  });

  test('digest: does not depend on the request id of a blocked step', () => {
    expect(digestOf(blockedWith('W3Q6YPJ2H1/ab+c='))).toBe(digestOf(blockedWith('0123456789ABCDEF')));
    expect(digestOf(blockedWith('0123456789ABCDEF'))).not.toBe(digestOf());
  });

  test.each([
    ['managed part before', stepWith({ before: { '/status': 'Off' } })],
    ['managed part after', stepWith({ desired: { bucket: 'acme-tax', status: 'Off' } })],
    ['risks', stepWith({ risks: [{ id: 'adopt', message: 'a risk' }] })],
    ['order', stepWith({ needs: ['s3.bucket/acme-tax'] })],
  ] as [string, Partial<PlanContent>][])('digest: covers the %s', (_, content) => {
    expect(digestOf(content)).not.toBe(digestOf());
  });

  test.each([
    ['account ids', { accounts: { '': '999988887777' } }],
    ['guardrails', { guardrails: { maxChanges: 21 } }],
    ['verdicts of the proof', { verdicts: [] }],
  ] as [string, Partial<SealInputs>][])('digest: covers the %s', (_, inputs) => {
    expect(digestOf({}, inputs)).not.toBe(digestOf());
  });

  test('digest: does not depend on the batches in which pairs were planned', () => {
    const handover = ['b', 'a'].map((name) => ({
      id: `s3.versioning/${name}` as const,
      account: '444455556666',
      what: 'enable versioning',
      command: 'aws s3api put-bucket-versioning',
      pairs: [name],
    }));
    const verdicts = ['b', 'a'].map((bucket) => ({ bucket, rule: 'rule', verdict: 'proven', codes: [] }));
    expect(digestOf({ handover }, { verdicts })).toBe(
      digestOf({ handover: handover.toReversed() }, { verdicts: verdicts.toReversed() }),
    );
  });

  test('plan: is frozen', () => {
    const plan = seal(CONTENT, INPUTS);
    expect(() => plan.waves.push([])).toThrow(TypeError);
    expect(() => plan.waves[0]?.push(STEP)).toThrow(TypeError);
    expect(() => Object.assign(plan.waves[0]?.[0] ?? {}, { risks: [] })).toThrow(TypeError);
    expect(() => plan.waves[0]?.[0]?.risks.push({ id: 'adopt', message: '' })).toThrow(TypeError);
    expect(() => plan.blocked.push({ id: STEP.id, why: '', pairs: [], from: STEP.from })).toThrow(TypeError);
    expect(() => Object.assign(plan.accounts, { main: '' })).toThrow(TypeError);
    expect(() => Object.assign(plan, { digest: '' })).toThrow(TypeError);
  });
});
