import { AwsError } from './aws-error.ts';
import type { Caller } from './call.ts';
import type { SessionState } from './state.ts';
import type { Store } from './store.ts';

/** Who signed a request, for which service and Region: from its Authorization header or its presigned query. */
export interface Signer {
  caller: Caller;
  region: string;
  service: string;
  session?: SessionState;
  /** Why the request cannot be taken, if so. */
  refusal?: AwsError;
}

/** Signatures are not checked: any secret will do. A 12-digit access key id is the account itself. */
export function signerOf(
  store: Store,
  headers: Record<string, string>,
  query: URLSearchParams,
  now: number,
): Signer {
  const credential =
    /Credential=([^,\s]+)/.exec(headers.authorization ?? '')?.[1] ??
    query.get('X-Amz-Credential') ??
    undefined;
  if (credential === undefined) {
    return {
      caller: { account: 'anonymous', arn: 'anonymous' },
      region: 'us-east-1',
      service: 's3',
      refusal: new AwsError(403, 'AccessDenied', 'Access Denied'),
    };
  }
  const [accessKeyId = '', , region = 'us-east-1', service = 's3'] = credential.split('/');
  for (const account of accessKeyId.startsWith('ASIA') ? store.accounts() : []) {
    const session = account.sessions.get(accessKeyId);
    if (!session) continue;
    const expiredError = new AwsError(400, 'ExpiredToken', 'The provided token has expired.');
    return {
      caller: {
        account: account.id,
        arn: `arn:aws:sts::${account.id}:assumed-role/${session.roleName}/${session.sessionName}`,
      },
      region,
      service,
      session,
      ...(session.expires < now ? { refusal: expiredError } : {}),
    };
  }
  const account = /^\d{12}$/.test(accessKeyId) ? accessKeyId : '000000000000';
  return { caller: { account, arn: `arn:aws:iam::${account}:root` }, region, service };
}
