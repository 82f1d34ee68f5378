/** Every risk that a person can allow, by its id, and what it means. */
export const RISKS = {
  adopt: 'changes what was there before, though the spec says adopt: Never',
  'change-boundary': 'replaces the permissions boundary of a role',
  'change-default-key':
    'encrypts by default without a key any more, or under another while the role may not use the old one',
  'change-ownership': 'makes ACLs of a bucket stop counting, or count again',
  'change-role': 'lets rules that are not ours replicate as another role',
  'foreign-rules':
    'changes a configuration that has rules of others, though the spec says foreignRules: Refuse',
  'open-public-access': 'lifts a block of public access',
  'other-manager': 'changes what seems to be looked after by another tool',
  'remove-rules': 'takes away rules that are not ours',
} as const;

export type RiskId = keyof typeof RISKS;
