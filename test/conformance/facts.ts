import recorded from './recorded-facts.json' with { type: 'json' };

/** One answer recorded from AWS. `<...>` in a message or an output stands for a value that varies. */
export interface Fact {
  id: string;
  service: 's3' | 's3control' | 'iam' | 'kms' | 'sts';
  operation: string;
  /** What was sent, in words. */
  input: string;
  http_status: number | null;
  error_code: string | null;
  message: string | null;
  error_fields: Record<string, string> | null;
  output: Record<string, unknown> | null;
  tier: 'A' | 'A-' | 'B' | 'C';
  note?: string;
}

export const facts = recorded.facts as Fact[];

/** What a fact says, in a line. */
export function says({ operation, input, http_status, error_code }: Fact): string {
  const answer = [http_status, error_code].filter((part) => part !== null && part !== undefined).join(' ');
  return `${operation} (${input || 'no input'}) → ${answer || 'see its output'}`;
}
