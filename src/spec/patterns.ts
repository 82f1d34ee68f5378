import { createHash } from 'node:crypto';
import { suggest } from './did-you-mean.ts';

/** Checks a text against the rules of AWS: returns the violated rule, or undefined when the text is valid. */
export interface TextCheck {
  (text: string): string | undefined;
  /** The meaning of the text, `bucket name`, for messages. */
  subject: string;
}

const textCheck = (subject: string, check: (text: string) => string | undefined): TextCheck =>
  Object.assign(check, { subject });

export const checkBucketNameFormat = textCheck('bucket name', (name) => {
  if (!/^[a-z0-9.-]{3,63}$/.test(name)) return 'use 3 to 63 lower-case letters, digits, dots and hyphens';
  if (!/^[a-z0-9].*[a-z0-9]$/.test(name)) return 'begin and end with a letter or digit';
  if (name.includes('..')) return 'do not use two dots in a row';
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return 'do not use the form of an IP address';
  if (/^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|--x-s3|--table-s3|\.mrap)$/.test(name)) {
    return 'AWS reserves this prefix or suffix; use another name';
  }
  return undefined;
});

export const checkRegion = textCheck('Region', (name) => {
  const zone = /^([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})[a-z]$/.exec(name);
  if (zone) return `this is an Availability Zone; use its Region ${zone[1]}`;
  const [, direction] = /^[a-z]{2,4}(?:-[a-z]+)*-([a-z]+)-\d{1,2}$/.exec(name) ?? [];
  if (direction === undefined) return 'use a Region name such as us-east-1';
  if (REGION_DIRECTIONS.includes(direction)) return undefined;
  const suggestion = suggest(direction, REGION_DIRECTIONS);
  const correction =
    suggestion === undefined
      ? 'use a Region name such as us-east-1'
      : `did you mean ${name.replace(`-${direction}-`, `-${suggestion}-`)}?`;
  return `unknown direction ${direction}; ${correction}`;
});

/** Directions in the names of Regions. A list of all Regions would be out of date with the next Region. */
const REGION_DIRECTIONS = [
  ...['north', 'south', 'east', 'west', 'central'],
  ...['northeast', 'northwest', 'southeast', 'southwest'],
];

export const checkAccountId = textCheck('account id', (id) =>
  /^\d{12}$/.test(id) ? undefined : 'use 12 digits, including leading zeros',
);

export const checkKeyAlias = textCheck('KMS key alias', (alias) => {
  if (alias.startsWith('alias/aws/')) {
    return 'alias/aws/ is the prefix of AWS managed keys, whose policies cannot be changed; use another alias';
  }
  if (!/^alias\/[a-zA-Z0-9:/_-]+$/.test(alias)) {
    return 'use alias/ followed by letters, digits, /, _, - and :';
  }
  return alias.length > 256 ? 'use at most 256 characters' : undefined;
});

/** The ARN of a key: partition, Region, account and id. */
export const KEY_ARN_FORMAT =
  /^arn:(aws[a-z-]*):kms:([a-z0-9-]+):(\d{12}):key\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

export const KEY_ID_FORMAT = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

/** Checks the short form of `key:`: an alias, the ARN of a key, or a bare key id. */
export const checkKeyReference = textCheck('KMS key', (text) => {
  if (text.startsWith('alias/')) return checkKeyAlias(text);
  if (KEY_ARN_FORMAT.test(text) || KEY_ID_FORMAT.test(text)) return undefined;
  if (/:alias\//.test(text)) {
    return 'the ARN of an alias does not state whether to create the key; use alias/name or the ARN of the key';
  }
  if (/^[a-zA-Z0-9/_-]+$/.test(text)) return `an alias begins with alias/; use alias/${text}`;
  return 'use alias/name, a key id, or arn:aws:kms:REGION:ACCOUNT:key/ID';
});

export const checkKeyArn = textCheck('KMS key ARN', (arn) =>
  KEY_ARN_FORMAT.test(arn) || KEY_ID_FORMAT.test(arn)
    ? undefined
    : 'use a key id, or an ARN such as arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
);

/** The ARN of a role: partition, account, and path with name. */
export const ROLE_ARN_FORMAT = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/([\w+=,.@/-]+)$/;

export const checkRoleArnFormat = textCheck('role ARN', (arn) =>
  ROLE_ARN_FORMAT.test(arn) ? undefined : 'use an ARN such as arn:aws:iam::111122223333:role/name',
);

export const checkRoleName = textCheck('role name', (name) => {
  if (name.length > 64) return `use at most 64 characters; the name has ${name.length}`;
  return /^[\w+=,.@-]+$/.test(name) ? undefined : 'use letters, digits and + = , . @ _ -';
});

export const checkIamPath = textCheck('IAM path', (path) => {
  if (path.length > 512) return 'use at most 512 characters';
  return /^\/([\x21-\x7e]+\/)?$/.test(path)
    ? undefined
    : 'begin and end the path with a slash, such as /service-role/';
});

export const checkPolicyArn = textCheck('policy ARN', (arn) =>
  /^arn:aws[a-z-]*:iam::(\d{12}|aws):policy\/[\w+=,.@/-]+$/.test(arn)
    ? undefined
    : 'use the ARN of a managed policy, such as arn:aws:iam::111122223333:policy/name',
);

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
  return code && `XML, the format of the AWS API, does not allow U+${code}; remove it`;
}

export const checkDescription = textCheck('description', (text) =>
  text.length <= 8_192 ? checkXmlCharacters(text) : 'use at most 8,192 characters',
);

/** Checks a DNS label, which Kubernetes uses for names. */
export const checkDnsLabel = textCheck('name', (name) =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)
    ? undefined
    : 'use 1 to 63 lower-case letters, digits and hyphens; begin and end with a letter or digit',
);

/** Checks the key of a label by the rules of Kubernetes, so that selectors need no quotes. */
export const checkLabelKey = textCheck('label key', (key) =>
  /^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(key)
    ? undefined
    : 'use 1 to 63 letters, digits, -, _ and ., optionally after a DNS name and a slash',
);

export const checkLabelValue = textCheck('label value', (value) =>
  /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/.test(value)
    ? undefined
    : 'use at most 63 letters, digits, -, _ and .; begin and end with a letter or digit',
);

export const checkTagKey = textCheck('tag key', (key) =>
  key.length >= 1 && key.length <= 128 ? checkXmlCharacters(key) : 'use 1 to 128 characters',
);

export const checkTagValue = textCheck('tag value', (value) =>
  value.length <= 256 ? checkXmlCharacters(value) : 'use at most 256 characters',
);

export const checkVariableName = textCheck('variable name', (name) =>
  /^[A-Za-z][\w-]{0,62}$/.test(name)
    ? undefined
    : 'use 1 to 63 letters, digits, _ and -; begin with a letter',
);

/**
 * Checks the name of an environment variable. The required prefix prevents a spec from printing a credential from the
 * environment.
 */
export const checkEnvironmentName = textCheck('environment variable', (name) =>
  /^REPLIKEY_[A-Z0-9_]+$/.test(name)
    ? undefined
    : 'use REPLIKEY_ followed by upper-case letters, digits and _; specs cannot read other environment variables',
);

export const checkNotEmpty = textCheck('value', (text) =>
  text === '' ? 'use at least one character' : undefined,
);

export const checkRuleId = textCheck('rule id', (id) =>
  /^[\x20-\x7e]{1,255}$/.test(id) ? undefined : 'use 1 to 255 printable ASCII characters',
);

/** Checks a key prefix, which is literal: an S3 key begins with a slash only if its writer included one. */
export const checkKeyPrefix = textCheck('prefix', (prefix) => {
  const bytes = Buffer.byteLength(prefix);
  if (bytes > 1024) return `use at most 1,024 bytes of UTF-8; the prefix has ${bytes}`;
  if (prefix.startsWith('/')) {
    return 'remove the leading slash; S3 compares prefixes literally, and no key begins with a slash unless its writer included one';
  }
  return checkXmlCharacters(prefix);
});

/**
 * Returns the default role name: `replikey-` and the source bucket. A name too long for IAM is cut, and a hash keeps it
 * unique.
 */
export function defaultRoleName(bucket: string): string {
  const name = `replikey-${bucket}`;
  if (name.length <= 64) return name;
  return `${name.slice(0, 55)}-${createHash('sha256').update(bucket).digest('hex').slice(0, 8)}`;
}

/** A duration with one unit: seconds, minutes or hours. */
export const DURATION_PATTERN = /^\d{1,6}[smh]$/;

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;
const MAX_DURATION_MS = 7 * 24 * 3_600_000;

export const checkDuration = textCheck('duration', (text) =>
  DURATION_PATTERN.test(text) && parseDuration(text) <= MAX_DURATION_MS
    ? undefined
    : 'use a whole number with the unit s, m or h, at most 168h, for example 15m',
);

/** Returns a valid duration in milliseconds. */
export const parseDuration = (text: string): number =>
  Number(text.slice(0, -1)) * UNIT_MS[text.slice(-1) as keyof typeof UNIT_MS];
