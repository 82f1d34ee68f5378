/** What was asked of the sandbox, in order. */
export interface RequestLog {
  entries: RequestEntry[];
  /** Calls by operation, `s3:GetBucketVersioning`. */
  counts(): Record<string, number>;
  reset(): void;
}

export interface RequestEntry {
  /** From 1, since the start. */
  n: number;
  service: string;
  operation: string;
  account: string;
  region: string;
  write: boolean;
  /** HTTP status of the answer; absent while it is handled, and where the connection was dropped. */
  status?: number;
  code?: string;
}

/** A sandbox that runs for long keeps the newest. */
const MAX_LOG_ENTRIES = 100_000;

export function createRequestLog(): RequestLog & {
  add(entry: Omit<RequestEntry, 'n' | 'write'>): RequestEntry;
} {
  let n = 0;
  const entries: RequestEntry[] = [];
  return {
    entries,
    add(fields) {
      const entry = { n: ++n, ...fields, write: !/^(Get|List|Head|Describe|Lookup)/.test(fields.operation) };
      entries.push(entry);
      if (entries.length > MAX_LOG_ENTRIES) entries.splice(0, entries.length - MAX_LOG_ENTRIES);
      return entry;
    },
    counts() {
      const counts: Record<string, number> = {};
      for (const { service, operation } of entries) {
        const name = `${service}:${operation}`;
        counts[name] = (counts[name] ?? 0) + 1;
      }
      return counts;
    },
    reset: () => void entries.splice(0),
  };
}
