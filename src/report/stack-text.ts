import type { RuleProof } from '../proof/types.ts';
import { escapeUnprintable, shellQuote } from '../util/escape.ts';
import { basisText, countText, proofSummary, proofText } from './proof-text.ts';
import type { Paint } from './style.ts';

/** The file of another tool that contains the rules. */
export interface StackInput {
  type: 'terraform-plan' | 'terraform-state' | 'cloudformation';
  /** Path as given; `-` for standard input. */
  file: string;
  /** Version of the tool that wrote the file. */
  version?: string;
}

interface StackReport {
  input: StackInput;
  rules: readonly RuleProof[];
  /** Values that the rules need and that the file does not contain. */
  unknownValues: readonly string[];
}

interface StackTextOptions {
  verbose: boolean;
  /** Whether undecided rules are accepted. */
  allowUnproven: boolean;
}

/** Maximum number of unknown values in the output without `verbose`. */
const MAX_UNKNOWN_VALUES = 8;

/** Returns the proof of the rules of a plan or a state, with the address of each, and what would decide the rest. */
export function stackText(
  { input, rules, unknownValues }: StackReport,
  { verbose, allowUnproven }: StackTextOptions,
  paint: Paint,
): string {
  if (rules.length === 0) return `No replication rules in ${escapeUnprintable(nameOfInput(input))}.`;
  const undecided = rules.filter(({ verdict }) => verdict === 'unknown').length;
  const listed = verbose ? unknownValues : unknownValues.slice(0, MAX_UNKNOWN_VALUES);
  const more = unknownValues.length - listed.length;
  return [
    ...rules.map((proof) => proofText(proof, verbose, paint)),
    ...(listed.length === 0
      ? []
      : [
          '',
          `Not known, so that ${countText(undecidedRequests(rules), 'request')} cannot be decided:`,
          ...listed.map((value) => `  ${escapeUnprintable(value)}`),
          ...(more > 0 ? [paint.dim(`  and ${more} more; -v lists all`)] : []),
          ...nextSteps(input, unknownValues, undecided > 0 && !allowUnproven),
        ]),
    '',
    proofSummary(rules, paint),
    basisText(rules),
  ].join('\n');
}

const undecidedRequests = (rules: readonly RuleProof[]): number =>
  rules.reduce((sum, { answers }) => sum + answers.filter(({ result }) => result === 'unknown').length, 0);

/** Returns the input for messages: `the plan in plan.json`. */
export const nameOfInput = ({ type, file }: StackInput): string => {
  const source = file === '-' ? 'standard input' : file;
  return `the ${INPUT_NOUNS[type]} in ${source}`;
};

const INPUT_NOUNS = {
  'terraform-plan': 'plan',
  'terraform-state': 'state',
  cloudformation: 'template',
} as const;

/** Returns what decides the undecided requests. */
function nextSteps(
  { type, file }: StackInput,
  unknownValues: readonly string[],
  isRefused: boolean,
): string[] {
  return [
    ...(unknownValues.some((value) => value.endsWith('known after apply'))
      ? [
          'Terraform knows ids of new resources, and policies that contain them, only after apply: a plan of a new',
          'stack proves little, and a plan that changes an existing stack proves most. After apply, prove the state:',
          '  terraform show -json > state.json',
          '  reconcile doctor --terraform state.json',
        ]
      : []),
    ...(unknownValues.some((value) => value.endsWith('not in the file'))
      ? [
          `Resources of other stacks are not in the ${INPUT_NOUNS[type]}: reconcile doctor --bucket NAME reads them from AWS.`,
        ]
      : []),
    ...(isRefused
      ? [
          `To accept undecided rules: reconcile doctor ${type === 'cloudformation' ? '--cloudformation' : '--terraform'} ${shellQuote(file)} --allow-unproven`,
        ]
      : []),
  ];
}
