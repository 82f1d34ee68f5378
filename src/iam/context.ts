import type { AccessRequest, OneOrMany } from './types.ts';

/** Condition keys of a request, looked up in lower case. */
export interface RequestContext {
  get(key: string): string[] | undefined;
}

/**
 * Returns the condition keys of a request. The map is built on the first lookup, because most decisions read no key.
 */
export function contextOf(request: AccessRequest): RequestContext {
  let keys: Map<string, string[]> | undefined;
  return {
    get(key) {
      keys ??= contextKeysOf(request);
      return keys.get(key);
    },
  };
}

function contextKeysOf(request: AccessRequest): Map<string, string[]> {
  const keys = new Map<string, string[]>();
  // IAM sets these keys itself. The context of the request can override them.
  const { principal } = request;
  if (principal.startsWith('arn:')) {
    keys.set('aws:principalarn', [roleArnOf(principal)]);
    keys.set('aws:principalaccount', [accountOfArn(principal)]);
  }
  for (const [key, values] of Object.entries(request.context ?? {}))
    keys.set(key.toLowerCase(), toList(values));
  return keys;
}

/** Returns the account in an ARN; empty when the ARN names no account. */
export function accountOfArn(arn: string): string {
  let start = 0;
  for (let colon = 0; colon < 4; colon++) {
    start = arn.indexOf(':', start) + 1;
    if (start === 0) return '';
  }
  const end = arn.indexOf(':', start);
  return arn.slice(start, end < 0 ? undefined : end);
}

/** Returns the ARN of the role behind a session; any other principal is returned unchanged. */
export function roleArnOf(principal: string): string {
  const session = /^arn:([^:]+):sts::(\d{12}):assumed-role\/([^/]+)\/.+$/.exec(principal);
  return session ? `arn:${session[1]}:iam::${session[2]}:role/${session[3]}` : principal;
}

export const toList = <T>(value: OneOrMany<T> | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];
