import { describe, expect, test } from 'vitest';
import type { Stack } from '../../src/iac/stack.ts';
import { proveStack } from '../../src/iac/stack-proof.ts';
import { toTerraformDocument } from '../../src/iac/terraform-document.ts';
import { terraformStack } from '../../src/iac/terraform-stack.ts';
import { type Json, proveRecorded, readRecorded, resourceIn } from './recorded.ts';

const SOURCE = 'module.source_bucket.aws_s3_bucket_replication_configuration.this[0]';
const SOURCE_BUCKET = 'module.source_bucket.aws_s3_bucket.this[0]';
const SOURCE_ENCRYPTION = 'module.source_bucket.aws_s3_bucket_server_side_encryption_configuration.this[0]';
const TRANSLATION = 'module.source.aws_s3_bucket_replication_configuration.this[0]';

/** Sets the references of an attribute in the configuration of a resource of the root module. */
function setReferences(json: Json, address: string, attribute: string, references: string[]): void {
  const config = json.configuration.root_module.resources.find((entry: Json) => entry.address === address);
  config.expressions[attribute] = { references };
}

const verdictsOf = async (name: string, edit: (json: Json) => void) => {
  const { rules, unknownValues } = await proveRecorded(name, edit);
  return { verdicts: rules.map(({ verdict }) => verdict), unknownValues };
};

describe('rules that are not known', () => {
  test('a dynamic block of which nothing is known: is an undecided rule', async () => {
    const proof = await verdictsOf('same-account-correct', (json) => {
      const { values, change } = resourceIn(json, SOURCE);
      delete values.rule;
      change.after_unknown = { rule: true };
    });
    expect(proof).toEqual({ verdicts: ['unknown'], unknownValues: [`${SOURCE}.rule is known after apply`] });
  });

  test('sensitive rules: are an undecided rule', async () => {
    const proof = await verdictsOf('same-account-correct', (json) => {
      const { sensitive, change } = resourceIn(json, SOURCE);
      sensitive.rule = true;
      change.after_sensitive = { rule: true };
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues).toEqual([`${SOURCE}.rule is sensitive, and replikey does not read it`]);
  });

  test('a block replication_configuration of an old release: is an undecided rule', async () => {
    const proof = await verdictsOf('legacy-blocks-correct', (json) => {
      const { values, change } = resourceIn(json, 'aws_s3_bucket.source');
      delete values.replication_configuration;
      change.after_unknown = { replication_configuration: true };
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues).toContain(
      'aws_s3_bucket.source.replication_configuration is known after apply',
    );
  });

  test.each([
    ['same-account-correct', SOURCE, ['source_selection_criteria']],
    ['same-account-correct', SOURCE, ['filter']],
    ['same-account-correct', SOURCE, ['destination', 'encryption_configuration']],
    ['same-account-correct', SOURCE, ['destination', 'metrics']],
    ['same-account-correct', SOURCE, ['destination', 'replication_time']],
    ['cross-account-correct', TRANSLATION, ['destination', 'access_control_translation']],
  ] as const)('%s, %s: an unknown block %s leaves the rule undecided', async (name, address, path) => {
    const proof = await verdictsOf(name, (json) => {
      const { values, change } = resourceIn(json, address);
      const [first, second] = path;
      if (second === undefined) delete values.rule[0][first];
      else delete values.rule[0][first][0][second];
      change.after_unknown = { rule: [{ [first]: second === undefined ? true : [{ [second]: true }] }] };
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues.join()).toContain(`${path.join('[0].')} is known after apply`);
  });

  test.each<[string, (json: Json) => void, RegExp]>([
    [
      'resources',
      (json) => {
        json.planned_values.root_module.resources = 'x';
      },
      /resources of the root module is not a list/,
    ],
    [
      'rule',
      (json) => {
        resourceIn(json, SOURCE).values.rule = 'x';
      },
      /rule is not a list of blocks/,
    ],
    [
      'resource_changes',
      (json) => {
        json.resource_changes = {};
      },
      /resource_changes is not a list/,
    ],
  ])('a text in place of %s: is refused', async (_, edit, message) => {
    await expect(proveRecorded('same-account-correct', edit)).rejects.toThrow(message);
  });

  test('a resource without a type: is refused', async () => {
    const json = await readRecorded('same-account-correct');
    delete json.planned_values.root_module.resources[0].type;
    expect(() => toTerraformDocument(json, 'plan.json')).toThrow(/has no address, type or name/);
  });
});

describe('policies that are not known', () => {
  test('a role policy whose role may be another one: leaves the role undecided', async () => {
    const proof = await verdictsOf('cross-account-correct', (json) => {
      const address = 'aws_iam_role_policy.replication';
      const { values, change } = resourceIn(json, address);
      delete values.role;
      change.after_unknown = { role: true };
      setReferences(json, address, 'role', ['local.role', 'aws_iam_role.other.name', 'aws_iam_role.other']);
      const other = { address: 'aws_iam_role.other', mode: 'managed', type: 'aws_iam_role', name: 'other' };
      const arn = 'arn:aws:iam::111122223333:role/other';
      json.planned_values.root_module.resources.push({ ...other, values: { name: 'other', arn } });
      json.configuration.root_module.resources.push({ ...other, provider_config_key: 'aws' });
      resourceIn(json, 'aws_iam_role.replication').values.inline_policy = [];
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues).toEqual(['aws_iam_role_policy.replication.role is known after apply']);
  });

  test('sensitive inline policies of a role: leave the role undecided', async () => {
    const proof = await verdictsOf('cross-account-correct', (json) => {
      const { sensitive, change } = resourceIn(json, 'aws_iam_role.replication');
      sensitive.inline_policy = true;
      change.after_sensitive = { inline_policy: true };
    });
    expect(proof.verdicts).toEqual(['unknown']);
  });

  test('a tag that is known after apply: leaves a Deny of the tag undecided', async () => {
    const deny = {
      Effect: 'Deny',
      Action: 's3:ReplicateObject',
      Resource: '*',
      Condition: { StringEquals: { 'aws:PrincipalTag/data': 'restricted' } },
    };
    const edit = (json: Json) => {
      const { values } = resourceIn(json, 'aws_iam_role_policy.replication');
      const policy = JSON.parse(values.policy);
      values.policy = JSON.stringify({ ...policy, Statement: [...policy.Statement, deny] });
    };
    expect((await verdictsOf('cross-account-correct', edit)).verdicts).toEqual(['proven']);
    const proof = await verdictsOf('cross-account-correct', (json) => {
      edit(json);
      const { values, change } = resourceIn(json, 'aws_iam_role.replication');
      values.tags_all = { team: 'tax' };
      change.after_unknown = { tags_all: { data: true } };
    });
    expect(proof.verdicts).toEqual(['unknown']);
  });

  test('a key policy that the plan deletes: is replaced by the default policy', async () => {
    const remove = (json: Json) => {
      const address = 'aws_kms_key_policy.replica';
      const { change, values } = resourceIn(json, address);
      Object.assign(change, { actions: ['delete'], before: values, after: null });
      resourceIn(json, 'aws_kms_key.replica').values.policy = values.policy;
      json.planned_values.root_module.resources = json.planned_values.root_module.resources.filter(
        (entry: Json) => entry.address !== address,
      );
      return change.before;
    };
    expect((await verdictsOf('cross-account-correct', remove)).verdicts).toEqual(['broken']);
    const withBypass = await verdictsOf('cross-account-correct', (json) => {
      remove(json).bypass_policy_lockout_safety_check = true;
    });
    expect(withBypass.verdicts).toEqual(['proven']);
  });

  test.each(['condition', 'principals'])(
    'a Deny of a rendered policy with unknown blocks %s: may match nothing',
    async (block) => {
      const proof = await verdictsOf('same-account-new', (json) => {
        const change = json.resource_changes.find(
          ({ address }: Json) => address === 'data.aws_iam_policy_document.replication',
        ).change;
        const statements = change.after.statement;
        statements.push({ effect: 'Deny', actions: ['s3:ReplicateObject'], resources: ['*'] });
        change.after_unknown.statement[statements.length - 1] = { [block]: true };
      });
      expect(proof.verdicts).toEqual(['unknown']);
    },
  );
});

describe('settings that are not known', () => {
  test('a replaced setting whose bucket is a local value: may configure the bucket', async () => {
    const proof = await verdictsOf('same-account-correct', (json) => {
      const { change, values } = resourceIn(json, SOURCE_ENCRYPTION);
      Object.assign(change, {
        actions: ['delete', 'create'],
        before: { ...values },
        after_unknown: { bucket: true },
      });
      delete values.bucket;
      const { module } = json.configuration.root_module.module_calls.source_bucket;
      const config = module.resources.find(
        ({ type }: Json) => type === 'aws_s3_bucket_server_side_encryption_configuration',
      );
      config.expressions.bucket = { references: ['local.bucket'] };
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues).toContain(`${SOURCE_ENCRYPTION}.bucket is known after apply`);
  });

  test('a sensitive Object Lock: is undecided', async () => {
    const proof = await verdictsOf('same-account-correct', (json) => {
      const { values, sensitive, change } = resourceIn(json, SOURCE_BUCKET);
      values.object_lock_enabled = true;
      sensitive.object_lock_enabled = true;
      change.after_sensitive = { object_lock_enabled: true };
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues.join()).toContain('object_lock_enabled is sensitive');
  });

  test('a key whose state is known after apply: is undecided', async () => {
    const proof = await verdictsOf('same-account-correct', (json) => {
      const { values, change } = resourceIn(json, 'aws_kms_key.replica');
      delete values.is_enabled;
      change.after_unknown = { is_enabled: true };
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues).toContain('aws_kms_key.replica.is_enabled is known after apply');
  });

  test('a local value beside a resource: may be the key', async () => {
    const proof = await verdictsOf('same-account-correct', (json) => {
      const { values, change } = resourceIn(json, SOURCE_ENCRYPTION);
      delete values.rule[0].apply_server_side_encryption_by_default[0].kms_master_key_id;
      change.after_unknown = {
        rule: [{ apply_server_side_encryption_by_default: [{ kms_master_key_id: true }] }],
      };
      json.configuration.root_module.module_calls.source_bucket.expressions.kms_key_arn = {
        references: ['local.key_arn', 'aws_kms_key.source.arn', 'aws_kms_key.source'],
      };
    });
    expect(proof.verdicts).toEqual(['unknown']);
    expect(proof.unknownValues.join()).toContain('kms_master_key_id is known after apply');
  });
});

describe('accounts that are not known', () => {
  test('a key of another account that a provider looks up: is not in the account of the provider', async () => {
    const { rules } = await proveRecorded('same-account-new', (json) => {
      const arn = 'arn:aws:kms:us-east-1:444455556666:key/11111111-2222-4333-8444-555555555555';
      const resource = {
        address: 'data.aws_kms_key.shared',
        mode: 'data',
        type: 'aws_kms_key',
        name: 'shared',
      };
      json.prior_state ??= { values: { root_module: {} } };
      const { root_module: module } = json.prior_state.values;
      module.resources = [...(module.resources ?? []), { ...resource, values: { arn, key_id: arn } }];
      json.configuration.root_module.resources.push({ ...resource, provider_config_key: 'aws' });
    });
    expect(rules[0]?.basis?.roles).toEqual([
      'arn:aws:iam::{account of provider aws}:role/acme-tax-replication',
    ]);
  });

  const stackOf = async (unknownAccount: string): Promise<Stack> => {
    const stack = terraformStack(
      toTerraformDocument(await readRecorded('cross-account-correct'), 'plan.json'),
    );
    stack.unknownAccounts.set(unknownAccount, `{account of ${unknownAccount}}`);
    return stack;
  };
  const destinationAccountOf = ({ facts }: Stack): string =>
    Object.values(facts.buckets)
      .map((fact) => (fact as { account: string }).account)
      .find((account) => !Object.keys(facts.roles)[0]?.includes(account)) ?? '';

  /** Returns a stack with copies of another, each with buckets, roles and accounts of its own. */
  const copiesOf = (stack: Stack, count: number): Stack =>
    Array.from({ length: count }, (_, index) => {
      const { facts, sources, addresses, unknownAccounts } = stack;
      const text = JSON.stringify([facts, sources, [...addresses], [...unknownAccounts]]);
      const accounts = [...new Set(text.match(/\b\d{12}\b/g))];
      const copy = accounts
        .reduce((result, account) => result.replaceAll(account, `${account.slice(0, 10)}${10 + index}`), text)
        .replaceAll('acme-tax', `acme-tax-${index}`);
      const parts = JSON.parse(copy);
      return {
        facts: parts[0],
        sources: parts[1],
        addresses: new Map(parts[2]),
        unknownAccounts: new Map(parts[3]),
      } as Stack;
    }).reduce((all, copy) => ({
      facts: {
        buckets: { ...all.facts.buckets, ...copy.facts.buckets },
        roles: { ...all.facts.roles, ...copy.facts.roles },
        keys: { ...all.facts.keys, ...copy.facts.keys },
      },
      sources: [...all.sources, ...copy.sources],
      addresses: new Map([...all.addresses, ...copy.addresses]),
      unknownAccounts: new Map([...all.unknownAccounts, ...copy.unknownAccounts]),
    }));

  test('many stacks with unknown accounts: the verdict of each is that of the stack alone', async () => {
    const account = destinationAccountOf(await stackOf('900000000001'));
    const stack = await stackOf(account);
    const bucket = Object.values(stack.facts.buckets).find(
      (fact) => (fact as { account: string }).account === account,
    ) as { policy: unknown };
    // Without a bucket policy, the role can write only if the accounts are the same.
    bucket.policy = null;
    const alone = proveStack(stack);
    expect(alone.rules.map(({ verdict }) => verdict)).toEqual(['unknown']);
    const { rules } = proveStack(copiesOf(stack, 6));
    expect(rules.map(({ verdict }) => verdict)).toEqual(Array(6).fill('unknown'));
  });

  test('more combinations of accounts than replikey tries: leave the rule undecided', async () => {
    const account = destinationAccountOf(await stackOf('900000000001'));
    const policyOf = (count: number) => ({
      Version: '2012-10-17',
      Statement: Array.from({ length: count }, (_, index) => ({
        Effect: 'Allow' as const,
        Action: 'sns:Publish',
        Resource: `arn:aws:sns:us-east-1:${700_000_000_000 + index}:topic`,
      })),
    });
    const prove = async (count: number) => {
      const stack = await stackOf(account);
      const [role] = Object.values(stack.facts.roles) as { policies: Record<string, unknown> }[];
      if (role) role.policies.topics = policyOf(count);
      return proveStack(stack);
    };
    const few = await prove(3);
    const many = await prove(300);
    expect(few.rules[0]?.findings.map(({ message }) => message).join()).not.toContain('too many accounts');
    expect(many.rules.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(many.rules[0]?.findings.map(({ message }) => message).join()).toContain('too many accounts');
    expect(many.unknownValues).toEqual([`the account of ${account}`]);
  });
});
