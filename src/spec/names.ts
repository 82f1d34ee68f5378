/** What AWS accepts as a name: each check gives a reason, or undefined when the name is fine. */

export function bucketName(name: string): string | undefined {
  if (name.length < 3 || name.length > 63) return 'a bucket name has 3 to 63 characters';
  if (!/^[a-z0-9][a-z0-9.-]*[a-z0-9]$/.test(name)) {
    return 'a bucket name has lower-case letters, digits, dots and hyphens, and begins and ends with a letter or digit';
  }
  if (name.includes('..')) return 'a bucket name has no two dots in a row';
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return 'a bucket name does not look like an IP address';
  if (name.startsWith('xn--') || name.endsWith('-s3alias')) return 'AWS reserves this form of bucket names';
  return undefined;
}

export const region = (name: string): string | undefined =>
  /^[a-z]{2}(-[a-z]+)+-\d$/.test(name) ? undefined : 'a Region looks like us-east-1';

export const accountId = (id: string): string | undefined =>
  /^\d{12}$/.test(id) ? undefined : 'an account id has twelve digits';

export function aliasName(alias: string): string | undefined {
  if (alias.startsWith('alias/aws/')) {
    return 'alias/aws/… names a key that AWS manages: its policy cannot be changed, so it cannot serve here; declare an alias of your own';
  }
  if (!/^alias\/[a-zA-Z0-9:/_-]+$/.test(alias)) {
    return 'an alias is alias/ and then letters, digits, /, _ and -';
  }
  return alias.length > 256 ? 'an alias has at most 256 characters' : undefined;
}

export const KEY_ARN =
  /^arn:(aws|aws-cn|aws-us-gov):kms:([a-z0-9-]+):(\d{12}):key\/([0-9a-f-]{36}|mrk-[0-9a-f]{32})$/;

export const ROLE_ARN = /^arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role\/([\w+=,.@/-]+)$/;

export const KEY_ID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

export function roleName(name: string): string | undefined {
  if (name.length > 64) return `a role name has at most 64 characters, and this has ${name.length}`;
  return /^[\w+=,.@-]+$/.test(name) ? undefined : 'a role name has letters, digits and + = , . @ _ -';
}

/** The labels of DNS, as Kubernetes uses them for names. */
export const dnsLabel = (name: string): string | undefined =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)
    ? undefined
    : 'a name has lower-case letters, digits and hyphens, begins and ends with a letter or digit, and has at most 63 characters';

/** A prefix is literal: S3 keys do not begin with a slash unless somebody wrote one. */
export function keyPrefix(prefix: string): string | undefined {
  if (Buffer.byteLength(prefix) > 1024) return 'a prefix has at most 1,024 bytes';
  if (prefix.startsWith('/'))
    return 'prefixes are compared literally, and no key begins with a slash unless one was written so';
  return undefined;
}
