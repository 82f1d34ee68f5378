import { emptyStack, type Stack } from './stack.ts';
import { addBuckets } from './terraform-buckets.ts';
import { createTerraformContext } from './terraform-context.ts';
import type { TerraformDocument } from './terraform-document.ts';
import { addKeys } from './terraform-keys.ts';
import { addRoles } from './terraform-roles.ts';

/** Returns the facts of a plan, in the state after apply, or those of a state. Pure. */
export function terraformStack(document: TerraformDocument): Stack {
  const stack = emptyStack();
  const context = createTerraformContext(document, stack);
  addKeys(context);
  addRoles(context);
  addBuckets(context);
  return stack;
}
