import type { Policy } from '../iam/types.ts';

/** IAM answers policies URL-encoded (RFC 3986) and the JavaScript SDK leaves them so; S3 and KMS answer plain JSON. */
export function policyOf(text: string): Policy {
  return JSON.parse(text.startsWith('%7B') ? decodeURIComponent(text) : text) as Policy;
}
