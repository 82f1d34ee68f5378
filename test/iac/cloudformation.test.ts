import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { cloudFormationStack } from '../../src/iac/cloudformation-stack.ts';
import { evaluateTemplate, parseTemplate } from '../../src/iac/cloudformation-template.ts';
import { proveStack, type StackProof } from '../../src/iac/stack-proof.ts';
import { errorsOf } from './recorded.ts';

const TEMPLATE = await readFile('test/iac/cloudformation/replication.yaml', 'utf8');
const UNKNOWN = '900000000001';

interface ProveOptions {
  region?: string;
  description?: object;
}

function prove(text: string, { region, description }: ProveOptions = { region: 'eu-west-1' }): StackProof {
  const template = parseTemplate(text, 'template.yaml');
  const evaluated = evaluateTemplate({
    template,
    description,
    region,
    unknownAccount: UNKNOWN,
    file: 'template.yaml',
  });
  return proveStack(cloudFormationStack(evaluated, UNKNOWN));
}

/** The output of `aws cloudformation describe-stacks` (CloudFormation API Reference, "DescribeStacks"). */
const descriptionOf = (parameters: Record<string, string>, outputs: Record<string, string> = {}) => ({
  Stacks: [
    {
      StackId:
        'arn:aws:cloudformation:eu-central-1:111122223333:stack/tax/11111111-2222-4333-8444-555555555555',
      StackName: 'tax',
      Parameters: Object.entries(parameters).map(([ParameterKey, ParameterValue]) => ({
        ParameterKey,
        ParameterValue,
      })),
      Outputs: Object.entries(outputs).map(([OutputKey, OutputValue]) => ({ OutputKey, OutputValue })),
    },
  ],
});

test('template: resolves references, so that the rule of a new stack is proven in any account', () => {
  const { rules, unknownValues } = prove(TEMPLATE);
  expect(rules).toMatchObject([
    {
      address: 'Source',
      rule: 'invoices',
      bucket: 'acme-invoices',
      destination: '{Replica}',
      verdict: 'proven',
    },
  ]);
  expect(unknownValues).toEqual([]);
});

test('template in JSON: gives the same proof as YAML with short forms', () => {
  const json = JSON.stringify(parseTemplate(TEMPLATE, 'template.yaml'));
  expect(prove(json)).toEqual(prove(TEMPLATE));
});

test('template: a statement under a condition that the stack does not meet is missing, with the logical id of the role', () => {
  const proof = prove(TEMPLATE, { description: descriptionOf({ Prefix: 'corp', WithKeys: 'false' }) });
  expect(proof.rules).toMatchObject([{ bucket: 'corp-invoices', verdict: 'broken' }]);
  const policies = ['RK1307', 'RK1313', 'RK1312'].map((code) => `${code} at `);
  expect(errorsOf(proof).map((error) => error.slice(0, 10))).toEqual(policies);
  expect(errorsOf(proof)[0]).toBe('RK1307 at Role');
});

test('template with outputs of the stack: uses the names and ARNs in them', () => {
  const keyArn = 'arn:aws:kms:eu-central-1:111122223333:key/66666666-7777-4888-9999-aaaaaaaaaaaa';
  const description = descriptionOf({}, { ReplicaName: 'tax-replica-1x2y3z', ReplicaKeyArn: keyArn });
  const { rules } = prove(TEMPLATE, { description });
  expect(rules).toMatchObject([{ destination: 'tax-replica-1x2y3z', verdict: 'proven' }]);
  expect(rules[0]?.basis?.keys).toContain(keyArn);
});

describe('values that are not known', () => {
  test('no Region: the rule is undecided, and the option is named', () => {
    const { rules, unknownValues } = prove(TEMPLATE, {});
    expect(rules).toMatchObject([{ verdict: 'unknown' }]);
    expect(unknownValues.join()).toContain('AWS::Region is not known: use --stack or --region');
  });

  test('a key of another stack: is undecided, and the export is named', () => {
    const text = TEMPLATE.replace(
      '!If [HasOtherKey, !Ref OtherKey, !GetAtt ReplicaKey.Arn]',
      '!ImportValue keys-replica',
    );
    const { rules, unknownValues } = prove(text);
    expect(rules).toMatchObject([{ verdict: 'unknown' }]);
    expect(unknownValues).toEqual([
      'Source.ReplicationConfiguration: the export keys-replica of another stack is not in the template',
    ]);
  });

  test('a secret parameter: is not read', () => {
    const text = TEMPLATE.replace(
      "  OtherKey:\n    Type: String\n    Default: ''",
      '  OtherKey:\n    Type: String\n    NoEcho: true\n    Default: hunter2',
    );
    const proof = prove(text);
    expect(proof.rules).toMatchObject([{ verdict: 'unknown' }]);
    expect(JSON.stringify(proof)).toContain('the parameter OtherKey has NoEcho');
    expect(JSON.stringify(proof)).not.toContain('hunter2');
  });

  test('a policy with an unknown resource: still does not allow what no statement allows', () => {
    const text = TEMPLATE.replace(/!Sub '.{2}Replica\.Arn.*'/, '!ImportValue replica-objects').replace(
      "Default: 'true'",
      "Default: 'false'",
    );
    expect(prove(text).rules).toMatchObject([{ verdict: 'broken' }]);
  });
});

test.each([
  ['text', 'just text', 'it has no Resources'],
  ['broken YAML', 'Resources: [', 'cannot use template.yaml'],
  ['a plan', '{"format_version":"1.2"}', 'it has no Resources'],
])('template that is %s: fails with the reason', (_, text, message) => {
  expect(() => prove(text)).toThrow(message);
});

test('template whose resources refer to each other: ends', () => {
  const text =
    'Resources:\n  A: { Type: AWS::S3::Bucket, Properties: { BucketName: !Ref B } }\n  B: { Type: AWS::S3::Bucket, Properties: { BucketName: !Ref A } }\n';
  expect(prove(text).rules).toEqual([]);
});
