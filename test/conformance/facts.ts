import recorded from './recorded-facts.json' with { type: 'json' };

/** A response recorded from AWS. `<...>` in a message or an output is a placeholder for a value that varies. */
export interface Fact {
  id: string;
  service: 's3' | 's3control' | 'iam' | 'kms' | 'sts';
  operation: string;
  /** A description of the request. */
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

/** Describes a fact in one line. */
export function describeFact({ operation, input, http_status, error_code }: Fact): string {
  const response = [http_status, error_code].filter((part) => part !== null && part !== undefined).join(' ');
  return `${operation} (${input || 'no input'}) → ${response || 'see its output'}`;
}
