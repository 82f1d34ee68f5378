import { describe, expect, test } from 'vitest';
import { formatAwsError } from '../../src/aws/errors.ts';
import type { Plan, PlanContent, Step } from '../../src/core/resource.ts';
import { type ApprovedInputs, seal, sealInputsOf } from '../../src/core/seal.ts';
import { ACCOUNT_SPECS, CROSS_ACCOUNT_SPEC, parseSpecs, TAX_SPEC } from '../support/env.ts';

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
const TARGET = { accounts: { '': '111122223333' }, partitions: ['aws'], endpoint: 'aws' };
const INPUTS: ApprovedInputs = {
  target: TARGET,
  guardrails: { maxChanges: 20 },
  verdicts: [{ bucket: 'acme-tax', rule: 'replikey/tax/tax', verdict: 'proven', codes: [] }],
};
const sealWith = (content: Partial<PlanContent> = {}, inputs: Partial<ApprovedInputs> = {}): Plan =>
  seal({ ...CONTENT, ...content }, { target: TARGET, approved: { ...INPUTS, ...inputs } });
const digestOf = (...args: Parameters<typeof sealWith>): string => sealWith(...args).digest;
const stepWith = (fields: Partial<Step>): Partial<PlanContent> => ({ waves: [[{ ...STEP, ...fields }]] });

function blockedWith(requestId: string): Partial<PlanContent> {
  const error = Object.assign(new Error('Access Denied'), {
    name: 'AccessDenied',
    $metadata: { httpStatusCode: 403, requestId },
  });
  const why = `cannot be read: ${formatAwsError(error)}`;
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
    ['account ids', { target: { ...TARGET, accounts: { '': '999988887777' } } }],
    ['partition', { target: { ...TARGET, partitions: ['aws-cn'] } }],
    ['endpoint', { target: { ...TARGET, endpoint: 'sandbox' } }],
    ['guardrails', { guardrails: { maxChanges: 21 } }],
    ['verdicts of the proof', { verdicts: [] }],
  ] as [string, Partial<ApprovedInputs>][])('digest: covers the %s', (_, inputs) => {
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
    const plan = sealWith();
    expect(() => plan.waves.push([])).toThrow(TypeError);
    expect(() => plan.waves[0]?.push(STEP)).toThrow(TypeError);
    expect(() => Object.assign(plan.waves[0]?.[0] ?? {}, { risks: [] })).toThrow(TypeError);
    expect(() => plan.waves[0]?.[0]?.risks.push({ id: 'adopt', message: '' })).toThrow(TypeError);
    expect(() => plan.blocked.push({ id: STEP.id, why: '', pairs: [], from: STEP.from })).toThrow(TypeError);
    expect(() => Object.assign(plan.target.accounts, { main: '' })).toThrow(TypeError);
    expect(() => Object.assign(plan, { digest: '' })).toThrow(TypeError);
  });
});

describe('sealInputsOf', () => {
  const SOURCES = { proof: [], accounts: { '': '999988887777' }, endpoint: 'aws', isPrune: false };
  const expire: PlanContent['housekeeping'][number] = {
    id: 'iam.role-policy/replikey-acme-tax',
    action: 'expire',
    at: { region: 'us-east-1' },
    sids: [],
    needs: [],
    pairs: ['tax'],
    from: STEP.from,
  };

  test('target: the accounts and partitions of the pairs with changes', async () => {
    const china = TAX_SPEC.replaceAll('tax', 'china').replaceAll(/us-\w+-\d/g, 'cn-north-1');
    const specs = await parseSpecs(`${ACCOUNT_SPECS}${CROSS_ACCOUNT_SPEC}---\n${china}`);
    const accounts = { main: '111122223333', backup: '444455556666' };
    expect(sealInputsOf(CONTENT, SOURCES, specs).target).toEqual({
      accounts,
      partitions: ['aws'],
      endpoint: 'aws',
    });
    const { waves } = CONTENT;
    const both = { ...CONTENT, waves: [...waves, [{ ...STEP, pairs: ['china'] }]] };
    expect(sealInputsOf(both, SOURCES, specs).target).toEqual({
      accounts: { ...accounts, '': '999988887777' },
      partitions: ['aws', 'aws-cn'],
      endpoint: 'aws',
    });
  });

  test('target: also the accounts of retained permissions, which the digest leaves out', async () => {
    const specs = await parseSpecs(TAX_SPEC);
    const content = { ...CONTENT, waves: [], housekeeping: [expire] };
    const { target, approved } = sealInputsOf(content, SOURCES, specs);
    expect(target.accounts).toEqual({ '': '999988887777' });
    expect(approved.target.accounts).toEqual({});
  });

  test('target: every account of a plan with prune, because orphans concern no declared pair', async () => {
    const specs = await parseSpecs(`${ACCOUNT_SPECS}${TAX_SPEC}`);
    const orphans = { ...CONTENT, waves: [[{ ...STEP, pairs: ['removed'] }]] };
    const { approved } = sealInputsOf(orphans, { ...SOURCES, isPrune: true }, specs);
    expect(approved.target).toEqual({
      accounts: { '': '999988887777', main: '111122223333', backup: '444455556666' },
      partitions: ['aws'],
      endpoint: 'aws',
    });
  });
});
