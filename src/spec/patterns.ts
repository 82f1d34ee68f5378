import { createHash } from 'node:crypto';
import { suggest } from './did-you-mean.ts';

/** A check of a text against the rules of AWS: returns a reason, or undefined when the text is valid. */
export type TextCheck = (text: string) => string | undefined;

export function checkBucketNameFormat(name: string): string | undefined {
  if (name.length < 3 || name.length > 63) return 'a bucket name has 3 to 63 characters';
  if (!/^[a-z0-9][a-z0-9.-]*[a-z0-9]$/.test(name)) {
    return 'a bucket name has lower-case letters, digits, dots and hyphens, and begins and ends with a letter or digit';
  }
  if (name.includes('..')) return 'a bucket name has no two dots in a row';
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return 'a bucket name does not look like an IP address';
  if (/^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|--x-s3|--table-s3|\.mrap)$/.test(name)) {
    return 'AWS reserves this form of bucket names';
  }
  return undefined;
}

export function checkRegion(name: string): string | undefined {
  const zone = /^([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})[a-z]$/.exec(name);
  if (zone) return `this is an availability zone; the Region is ${zone[1]}`;
  const [, direction] = /^[a-z]{2,4}(?:-[a-z]+)*-([a-z]+)-\d{1,2}$/.exec(name) ?? [];
  if (direction === undefined) return 'a Region looks like us-east-1';
  if (REGION_DIRECTIONS.includes(direction)) return undefined;
  const suggestion = suggest(direction, REGION_DIRECTIONS);
  const correction =
    suggestion === undefined ? '' : `; did you mean ${name.replace(`-${direction}-`, `-${suggestion}-`)}?`;
  return `no Region lies ${direction}${correction}`;
}

/** Directions in the names of Regions. A list of all Regions would be out of date with the next Region. */
const REGION_DIRECTIONS = [
  ...['north', 'south', 'east', 'west', 'central'],
  ...['northeast', 'northwest', 'southeast', 'southwest'],
];

export const checkAccountId: TextCheck = (id) =>
  /^\d{12}$/.test(id) ? undefined : 'an account id has twelve digits, zeros in front included';

export function checkKeyAlias(alias: string): string | undefined {
  if (alias.startsWith('alias/aws/')) {
    return 'alias/aws/… names a key that AWS manages: its policy cannot be changed, so it cannot serve here; declare an alias of your own';
  }
  if (!/^alias\/[a-zA-Z0-9:/_-]+$/.test(alias)) {
    return 'an alias is alias/ and then letters, digits, /, _ and -';
  }
  return alias.length > 256 ? 'an alias has at most 256 characters' : undefined;
}

/** The ARN of a key: partition, Region, account and id. */
export const KEY_ARN_FORMAT =
  /^arn:(aws[a-z-]*):kms:([a-z0-9-]+):(\d{12}):key\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

export const KEY_ID_FORMAT = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

/** Checks the short form of `key:`: an alias, the ARN of a key, or a bare key id. */
export function checkKeyReference(text: string): string | undefined {
  if (text.startsWith('alias/')) return checkKeyAlias(text);
  if (KEY_ARN_FORMAT.test(text) || KEY_ID_FORMAT.test(text)) return undefined;
  if (/:alias\//.test(text)) {
    return 'the ARN of an alias says neither to create it nor to leave it alone; write alias/name, or the ARN of the key';
  }
  if (/^[a-zA-Z0-9/_-]+$/.test(text)) return `the name of an alias begins with alias/: write alias/${text}`;
  return 'a key is alias/name, or arn:aws:kms:REGION:ACCOUNT:key/ID';
}

export const checkKeyArn: TextCheck = (arn) =>
  KEY_ARN_FORMAT.test(arn) || KEY_ID_FORMAT.test(arn)
    ? undefined
    : 'the ARN of a key looks like arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

/** The ARN of a role: partition, account, and path with name. */
export const ROLE_ARN_FORMAT = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/([\w+=,.@/-]+)$/;

export const checkRoleArnFormat: TextCheck = (arn) =>
  ROLE_ARN_FORMAT.test(arn) ? undefined : 'the ARN of a role looks like arn:aws:iam::111122223333:role/name';

export function checkRoleName(name: string): string | undefined {
  if (name.length > 64) return `a role name has at most 64 characters, and this has ${name.length}`;
  return /^[\w+=,.@-]+$/.test(name) ? undefined : 'a role name has letters, digits and + = , . @ _ -';
}

export function checkIamPath(path: string): string | undefined {
  if (path.length > 512) return 'a path has at most 512 characters';
  return /^\/([\x21-\x7e]+\/)?$/.test(path)
    ? undefined
    : 'a path begins and ends with a slash: /service-role/';
}

export const checkPolicyArn: TextCheck = (arn) =>
  /^arn:aws[a-z-]*:iam::(\d{12}|aws):policy\/[\w+=,.@/-]+$/.test(arn)
    ? undefined
    : 'the ARN of a managed policy looks like arn:aws:iam::111122223333:policy/name';

/**
 * Characters that XML 1.0, the format of S3 and IAM, does not allow: most control characters, and unpaired surrogates.
 */
const INVALID_XML_CHARACTER = /[^\P{Cc}\t\n\r\x7f-\x9f]|[\p{Cs}\ufffe\uffff]/u;

function checkXmlCharacters(text: string): string | undefined {
  const code = INVALID_XML_CHARACTER.exec(text)?.[0]
    .codePointAt(0)
    ?.toString(16)
    .toUpperCase()
    .padStart(4, '0');
  return code && `AWS cannot be told of U+${code}, which has no place in XML`;
}

export const checkDescription: TextCheck = (text) =>
  text.length <= 8_192 ? checkXmlCharacters(text) : 'a description has at most 8,192 characters';

/** Checks a DNS label, which Kubernetes uses for names. */
export const checkDnsLabel: TextCheck = (name) =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)
    ? undefined
    : 'a name has lower-case letters, digits and hyphens, begins and ends with a letter or digit, and has at most 63 characters';

/** Checks the key of a label by the rules of Kubernetes, so that selectors need no quotes. */
export const checkLabelKey: TextCheck = (key) =>
  /^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(key)
    ? undefined
    : 'the key of a label has letters, digits, -, _ and ., at most 63, after a DNS name and a slash if you like';

export const checkLabelValue: TextCheck = (value) =>
  /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/.test(value)
    ? undefined
    : 'the value of a label has at most 63 letters, digits, -, _ and .';

export const checkTagKey: TextCheck = (key) =>
  key.length >= 1 && key.length <= 128 ? checkXmlCharacters(key) : 'the key of a tag has 1 to 128 characters';

export const checkTagValue: TextCheck = (value) =>
  value.length <= 256 ? checkXmlCharacters(value) : 'the value of a tag has at most 256 characters';

export const checkVariableName: TextCheck = (name) =>
  /^[A-Za-z][\w-]{0,62}$/.test(name)
    ? undefined
    : 'the name of a variable has letters, digits, _ and -, at most 63, and begins with a letter';

/**
 * Checks the name of an environment variable. The required prefix prevents a spec from printing a credential from the
 * environment.
 */
export const checkEnvironmentName: TextCheck = (name) =>
  /^REPLIKEY_[A-Z0-9_]+$/.test(name)
    ? undefined
    : 'it begins with REPLIKEY_, and then has upper-case letters, digits and _: a spec reads nothing from the environment that was not meant for it';

export const checkNotEmpty: TextCheck = (text) => (text === '' ? 'there must be something here' : undefined);

export const checkRuleId: TextCheck = (id) =>
  /^[\x20-\x7e]{1,255}$/.test(id) ? undefined : 'the ID of a rule has 1 to 255 characters of ASCII';

/** Checks a key prefix, which is literal: an S3 key begins with a slash only if its writer included one. */
export function checkKeyPrefix(prefix: string): string | undefined {
  const bytes = Buffer.byteLength(prefix);
  if (bytes > 1024) return `a prefix has at most 1,024 bytes in UTF-8, and this has ${bytes}`;
  if (prefix.startsWith('/')) {
    return 'prefixes are compared literally, and no key begins with a slash unless one was written so; leave it out';
  }
  return checkXmlCharacters(prefix);
}

/**
 * Returns the default role name: `replikey-` and the source bucket. A name too long for IAM is cut, and a hash keeps it
 * unique.
 */
export function defaultRoleName(bucket: string): string {
  const name = `replikey-${bucket}`;
  if (name.length <= 64) return name;
  return `${name.slice(0, 55)}-${createHash('sha256').update(bucket).digest('hex').slice(0, 8)}`;
}
