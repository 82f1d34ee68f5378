import type { AccessRequest, OneOrMany } from './types.ts';

/** Condition keys of a request, looked up without regard to case. */
export type Context = ReadonlyMap<string, string[]>;

export function contextOf(request: AccessRequest): Context {
  const context = new Map<string, string[]>();
  // Keys that IAM itself fills in, which the request may say otherwise.
  const { principal } = request;
  if (principal.startsWith('arn:')) {
    context.set('aws:principalarn', [roleArnOf(principal)]);
    context.set('aws:principalaccount', [principal.split(':')[4] ?? '']);
  }
  for (const [key, values] of Object.entries(request.context ?? {}))
    context.set(key.toLowerCase(), list(values));
  return context;
}

/** The ARN of the role behind a session; any other principal as it is. */
export function roleArnOf(principal: string): string {
  const session = /^arn:([^:]+):sts::(\d{12}):assumed-role\/([^/]+)\/.+$/.exec(principal);
  return session ? `arn:${session[1]}:iam::${session[2]}:role/${session[3]}` : principal;
}

export const list = <T>(value: OneOrMany<T> | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];
