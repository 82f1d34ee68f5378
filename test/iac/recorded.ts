import { readFile } from 'node:fs/promises';
import { proveStack, type StackProof } from '../../src/iac/stack-proof.ts';
import { toTerraformDocument } from '../../src/iac/terraform-document.ts';
import { terraformStack } from '../../src/iac/terraform-stack.ts';

/** Folder of plans and states that `record.sh` recorded with Terraform and the AWS provider. */
export const RECORDED = 'test/iac/terraform/recorded';

/** JSON of Terraform, which tests change in place. */
// biome-ignore lint/suspicious/noExplicitAny: the form of the JSON is what the tests are about
export type Json = Record<string, any>;

export const readRecorded = async (name: string): Promise<Json> =>
  JSON.parse(await readFile(`${RECORDED}/${name}.json`, 'utf8')) as Json;

/** Proves a plan or a state. `edit` changes it first. */
export async function proveRecorded(
  name: string,
  edit: (json: Json) => void = () => {},
): Promise<StackProof> {
  const json = await readRecorded(name);
  edit(json);
  return proveStack(terraformStack(toTerraformDocument(json, `${name}.json`)));
}

/** Returns the errors of all rules as `CODE at ADDRESS of the document`, without repetition. */
export const errorsOf = ({ rules }: StackProof): string[] => [
  ...new Set(
    rules.flatMap(({ findings }) =>
      findings
        .filter(({ severity }) => severity === 'error')
        .map(({ code, resources = [] }) => `${code} at ${resources.join(', ')}`),
    ),
  ),
];

/** Returns the planned resource with an address, and its entry in the list of changes. */
export function resourceIn(json: Json, address: string): { values: Json; change: Json; sensitive: Json } {
  const modules: Json[] = [json.planned_values.root_module];
  for (const module of modules) modules.push(...((module.child_modules ?? []) as Json[]));
  const resource = modules
    .flatMap((module) => module.resources ?? [])
    .find((entry) => entry.address === address);
  const change = json.resource_changes.find((entry: Json) => entry.address === address);
  if (!resource || !change) throw new Error(`no resource ${address}`);
  resource.values ??= {};
  return { values: resource.values, change: change.change, sensitive: resource.sensitive_values };
}
