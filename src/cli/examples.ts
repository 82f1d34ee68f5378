type Example = [line: string, what: string];

/** What each command is shown by, in its help and in the man page; `reconcile` itself shows the way from first to last. */
const COMMAND_EXAMPLES: Record<string, Example[]> = {
  reconcile: [
    ['reconcile init', 'write a first spec'],
    ['reconcile validate specs/', 'check the YAML'],
    ['reconcile --dry-run specs/', 'show what would change'],
    ['reconcile --once specs/', 'make it so'],
    ['reconcile specs/', 'keep it so, until stopped'],
    ['reconcile doctor specs/', 'say whether it replicates, and if not why'],
    ['reconcile verify specs/', 'prove it with real objects'],
    ['reconcile --once specs/ --sandbox', 'rehearse it without an AWS account'],
  ],
  plan: [
    ['reconcile plan specs/', 'what would change'],
    ['reconcile plan specs/ -o markdown', 'for a pull request'],
    ['reconcile plan specs/ --only tax --explain', 'one spec, with the API calls'],
    ['reconcile plan specs/ --out plan.json', 'saved, to be applied as it is'],
    ['reconcile plan specs/ --observed observed.json', 'without credentials'],
  ],
  apply: [
    ['reconcile plan specs/ --out plan.json', 'look at it, let it be approved'],
    ['reconcile apply plan.json', 'and apply this, or nothing'],
  ],
  observe: [['reconcile observe specs/ --out observed.json', 'where there are credentials']],
  verify: [
    ['reconcile verify specs/', 'a canary under each rule'],
    ['reconcile verify specs/ --only tax --timeout 60', 'one spec, for a minute'],
  ],
  doctor: [
    ['reconcile doctor specs/', 'every rule that is declared or there'],
    ['reconcile doctor --bucket acme-tax', 'a bucket, whoever set it up'],
    ['reconcile doctor --bucket acme-tax --object Tax/2026.pdf', 'why this object did not arrive'],
    ['reconcile doctor --observed exported/', 'from exported policies alone'],
  ],
  import: [
    ['reconcile import --bucket acme-tax > specs/tax.yaml', 'one bucket'],
    ['reconcile import --all', 'all that replicate'],
  ],
  permissions: [
    ['reconcile permissions specs/', 'to apply'],
    ['reconcile permissions specs/ --plan-only', 'for plans on pull requests'],
    ['reconcile permissions specs/ --verify', 'to write canaries as well'],
    ['reconcile permissions specs/ --who-changed', 'to name who changed what drifted'],
  ],
  validate: [
    ['reconcile validate specs/', 'all problems, with their places'],
    ['reconcile validate specs/ --var stage=prod', 'with the value of a variable'],
  ],
  schema: [
    ['reconcile schema > replikey.schema.json', 'for the editor'],
    ['reconcile schema output > output.schema.json', 'for programs that read it'],
  ],
  explain: [
    ['reconcile explain', 'all kinds of documents'],
    ['reconcile explain spec.rules.prefix', 'one field'],
  ],
  sandbox: [
    ['reconcile sandbox', 'in memory, on 127.0.0.1:4566'],
    ['reconcile sandbox --state .replikey/sandbox', 'and still there tomorrow'],
  ],
  demo: [['reconcile demo', 'needs nothing, and leaves nothing behind']],
  init: [
    ['reconcile init', 'asks a few questions'],
    ['reconcile init --bucket acme-tax --region us-east-1 --region us-west-2', 'asks none'],
  ],
  man: [['reconcile man | man -l -', 'without installing it']],
  completion: [
    ['eval "$(reconcile completion bash)"', 'in ~/.bashrc'],
    ['source <(reconcile completion zsh)', 'in ~/.zshrc'],
    ['reconcile completion fish > ~/.config/fish/completions/reconcile.fish', 'once'],
  ],
};

export const examplesOf = (command: string): Example[] => COMMAND_EXAMPLES[command] ?? [];

export const EXIT_CODES: [code: string, meaning: string][] = [
  ['0', 'converged, or nothing to do, or planned'],
  ['1', 'failed, or partly failed'],
  ['2', 'the plan holds changes (only with --detailed-exitcode)'],
  ['3', 'refused by a safety rail'],
  ['4', 'no usable credentials, or the wrong account'],
  ['64', 'unusable arguments'],
  ['65', 'invalid specs'],
  ['130, 143', 'interrupted, after the call in flight was finished'],
];

/** Up to so many columns, what an example does stands beside it; it is never broken, since it is there to be copied. */
const MAX_INLINE_WIDTH = 52;

/** The examples of a command, as a section of its help. */
export function helpExamples(command: string): string[] {
  const examples = examplesOf(command);
  if (examples.length === 0) return [];
  const pad = Math.max(
    ...examples.map(([line]) => line.length).filter((length) => length <= MAX_INLINE_WIDTH),
    0,
  );
  const lines = examples.map(([line, description]) =>
    line.length > MAX_INLINE_WIDTH
      ? `  ${line}\n  ${' '.repeat(pad)}  ${description}`
      : `  ${line.padEnd(pad)}  ${description}`,
  );
  return [['Examples:', ...lines].join('\n')];
}
