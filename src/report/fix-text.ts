import type { Fix, PolicyRef } from '../proof/types.ts';

/** What a person has to do, with the statement or the command to do it with. */
export function fixLines(fix: Fix): string[] {
  if ('call' in fix) return [fix.what, `$ ${awsCliCommand(fix.call)}`];
  if ('remove' in fix)
    return [`${fix.what}: take statement ${fix.remove + 1} away`, ...putPolicyCommand(fix.policy)];
  const statement = 'add' in fix ? fix.add : fix.by;
  const what = 'add' in fix ? fix.what : `${fix.what}: in place of statement ${fix.replace + 1}`;
  return [what, ...JSON.stringify(statement, null, 2).split('\n'), ...putPolicyCommand(fix.policy)];
}

/** The command that puts a policy back; its document is the one that is there, changed as shown. */
function putPolicyCommand({ kind, of: owner, policy }: PolicyRef): string[] {
  const role = owner.slice(owner.lastIndexOf('/') + 1);
  const commands: Record<PolicyRef['kind'], string> = {
    trust: `aws iam update-assume-role-policy --role-name ${role} --policy-document file://policy.json`,
    role: `aws iam put-role-policy --role-name ${role} --policy-name ${policy} --policy-document file://policy.json`,
    boundary:
      'aws iam create-policy-version --set-as-default --policy-document file://policy.json --policy-arn …',
    bucket: `aws s3api put-bucket-policy --bucket ${owner} --policy file://policy.json`,
    key: `aws kms put-key-policy --key-id ${owner} --policy-name default --policy file://policy.json`,
  };
  const isManagedPolicy = kind === 'role' && policy?.startsWith('arn:');
  return [
    `$ ${isManagedPolicy ? `aws iam create-policy-version --policy-arn ${policy} --set-as-default --policy-document file://policy.json` : commands[kind]}`,
  ];
}

function awsCliCommand({
  service,
  operation,
  region,
  input,
}: Extract<Fix, { call: unknown }>['call']): string {
  const options = Object.entries(input).map(
    ([name, value]) =>
      `--${toKebabCase(name)} ${typeof value === 'string' ? value : `'${JSON.stringify(value)}'`}`,
  );
  return [
    `aws ${service === 's3' ? 's3api' : service} ${toKebabCase(operation)}`,
    `--region ${region}`,
    ...options,
  ].join(' ');
}

const toKebabCase = (name: string): string => name.replace(/([a-z])([A-Z])/g, '$1-$2').toLowerCase();
