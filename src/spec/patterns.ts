import { createHash } from 'node:crypto';
import { suggest } from './did-you-mean.ts';

/**
 * A rule of a text, and the message of its violation: what to write instead. The patterns have the same meaning in
 * JavaScript and in RE2, so that an API server can evaluate the same rules.
 */
export type TextRule = { message: string } & (
  | { matches: RegExp }
  | { excludes: RegExp }
  | { minLength: number }
  | { maxLength: number }
  | { maxBytes: number }
  | { maxDurationMs: number }
);

/** Checks a text against the rules of AWS: returns the violated rule, or undefined when the text is valid. */
export interface TextCheck {
  (text: string): string | undefined;
  /** The meaning of the text, `bucket name`, for messages. */
  subject: string;
  /** The rules that a valid text follows. */
  rules: readonly TextRule[];
}

/** Creates a check. `explain` can return a message for one invalid text, which is more precise than that of the rule. */
function textCheck(
  subject: string,
  rules: readonly TextRule[],
  explain: (text: string) => string | undefined = () => undefined,
): TextCheck {
  const check = (text: string) => {
    const violated = rules.find((rule) => !isMet(rule, text));
    return violated && (explain(text) ?? violated.message);
  };
  return Object.assign(check, { subject, rules });
}

function isMet(rule: TextRule, text: string): boolean {
  if ('matches' in rule) return rule.matches.test(text);
  if ('excludes' in rule) return !rule.excludes.test(text);
  if ('minLength' in rule) return text.length >= rule.minLength;
  if ('maxLength' in rule) return text.length <= rule.maxLength;
  if ('maxBytes' in rule) return Buffer.byteLength(text) <= rule.maxBytes;
  return parseDuration(text) <= rule.maxDurationMs;
}

/** The longest ARN of IAM. */
const MAX_ARN_LENGTH: TextRule = { maxLength: 2_048, message: 'use at most 2,048 characters' };

/** Directions in the names of Regions. A list of all Regions would be out of date with the next Region. */
const REGION_DIRECTIONS = [
  ...['north', 'south', 'east', 'west', 'central'],
  ...['northeast', 'northwest', 'southeast', 'southwest'],
];

const REGION_NAME = `[a-z]{2,4}(?:-[a-z]+)*-(?:${REGION_DIRECTIONS.join('|')})-\\d{1,2}`;

/** A bucket name in the account-regional namespace of S3: account and Region. */
export const ACCOUNT_REGIONAL_BUCKET = new RegExp(`^.+-(\\d{12})-(${REGION_NAME})-an$`);

export const checkBucketNameFormat = textCheck('bucket name', [
  { matches: /^[a-z0-9.-]{3,63}$/, message: 'use 3 to 63 lower-case letters, digits, dots and hyphens' },
  { maxLength: 63, message: 'use at most 63 characters' },
  { matches: /^[a-z0-9].*[a-z0-9]$/, message: 'begin and end with a letter or digit' },
  { excludes: /\.\./, message: 'do not use two dots in a row' },
  { excludes: /^\d+\.\d+\.\d+\.\d+$/, message: 'do not use the form of an IP address' },
  {
    excludes: /^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|--x-s3|--table-s3|\.mrap)$/,
    message: 'AWS reserves this prefix or suffix; use another name',
  },
  {
    // RE2 cannot exclude a suffix from a pattern, so the alternatives list the other endings.
    matches: new RegExp(`[^n]$|[^a]n$|[^-]an$|${ACCOUNT_REGIONAL_BUCKET.source}`),
    message:
      'S3 reserves the suffix -an for the account-regional namespace; use NAME-ACCOUNT-REGION-an, such as tax-111122223333-us-east-1-an, or another name',
  },
]);

const REGION_MESSAGE = 'use a Region name such as us-east-1';

export const checkRegion = textCheck(
  'Region',
  [
    {
      matches: new RegExp(`^${REGION_NAME}$`),
      message: REGION_MESSAGE,
    },
    { maxLength: 32, message: REGION_MESSAGE },
  ],
  explainRegion,
);

function explainRegion(name: string): string | undefined {
  const zone = /^([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})[a-z]$/.exec(name);
  if (zone) return `this is an Availability Zone; use its Region ${zone[1]}`;
  const [, direction] = /^[a-z]{2,4}(?:-[a-z]+)*-([a-z]+)-\d{1,2}$/.exec(name) ?? [];
  if (direction === undefined || REGION_DIRECTIONS.includes(direction)) return undefined;
  const suggestion = suggest(direction, REGION_DIRECTIONS);
  const correction =
    suggestion === undefined
      ? REGION_MESSAGE
      : `did you mean ${name.replace(`-${direction}-`, `-${suggestion}-`)}?`;
  return `unknown direction ${direction}; ${correction}`;
}

export const checkAccountId = textCheck('account id', [
  { matches: /^\d{12}$/, message: 'use 12 digits, including leading zeros' },
  { maxLength: 12, message: 'use 12 digits, including leading zeros' },
]);

const NO_AWS_ALIAS: TextRule = {
  excludes: /^alias\/aws\//,
  message:
    'alias/aws/ is the prefix of AWS managed keys, whose policies cannot be changed; use another alias',
};
const MAX_ALIAS_LENGTH: TextRule = { maxLength: 256, message: 'use at most 256 characters' };

export const checkKeyAlias = textCheck('KMS key alias', [
  NO_AWS_ALIAS,
  { matches: /^alias\/[a-zA-Z0-9:/_-]+$/, message: 'use alias/ followed by letters, digits, /, _, - and :' },
  MAX_ALIAS_LENGTH,
]);

/** The ARN of a key: partition, Region, account and id. */
export const KEY_ARN_FORMAT =
  /^arn:(aws[a-z-]*):kms:([a-z0-9-]+):(\d{12}):key\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

export const KEY_ID_FORMAT = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

/** Returns a pattern of the texts that one of the patterns matches. */
const anyOf = (...patterns: RegExp[]): RegExp => new RegExp(patterns.map(({ source }) => source).join('|'));

/** In place of the key of a destination: the related multi-Region key of the source key. */
export const RELATED_KEY = 'related';

/** Explains a text that is no short form of a key. */
function explainKeyReference(text: string): string | undefined {
  if (text.startsWith('alias/')) return checkKeyAlias(text);
  if (/:alias\//.test(text)) {
    return 'the ARN of an alias does not state whether to create the key; use alias/name or the ARN of the key';
  }
  return /^[a-zA-Z0-9/_-]+$/.test(text) ? `an alias begins with alias/; use alias/${text}` : undefined;
}

/** Checks the short form of `key:`: an alias, the ARN of a key, or a bare key id. */
export const checkKeyReference = textCheck(
  'KMS key',
  [
    NO_AWS_ALIAS,
    {
      matches: anyOf(/^alias\/[a-zA-Z0-9:/_-]+$/, KEY_ARN_FORMAT, KEY_ID_FORMAT),
      message: 'use alias/name, a key id, or arn:aws:kms:REGION:ACCOUNT:key/ID',
    },
    MAX_ALIAS_LENGTH,
  ],
  explainKeyReference,
);

/** Checks the short form of the key of a destination, which can also be `related`. */
export const checkDestinationKeyReference = textCheck(
  'KMS key',
  [
    NO_AWS_ALIAS,
    {
      matches: anyOf(/^related$/, /^alias\/[a-zA-Z0-9:/_-]+$/, KEY_ARN_FORMAT, KEY_ID_FORMAT),
      message: 'use alias/name, a key id, arn:aws:kms:REGION:ACCOUNT:key/ID, or related',
    },
    MAX_ALIAS_LENGTH,
  ],
  explainKeyReference,
);

export const checkKeyArn = textCheck('KMS key ARN', [
  {
    matches: anyOf(KEY_ARN_FORMAT, KEY_ID_FORMAT),
    message:
      'use a key id, or an ARN such as arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  },
  MAX_ARN_LENGTH,
]);

/** Checks the long form of the key of a destination. */
export const checkDestinationKeyArn = textCheck('KMS key ARN', [
  {
    matches: anyOf(/^related$/, KEY_ARN_FORMAT, KEY_ID_FORMAT),
    message:
      'use related, a key id, or an ARN such as arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
  },
  MAX_ARN_LENGTH,
]);

/** The ARN of a role: partition, account, and path with name. */
export const ROLE_ARN_FORMAT = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/([\w+=,.@/-]+)$/;

export const checkRoleArnFormat = textCheck('role ARN', [
  { matches: ROLE_ARN_FORMAT, message: 'use an ARN such as arn:aws:iam::111122223333:role/name' },
  MAX_ARN_LENGTH,
]);

export const checkRoleName = textCheck(
  'role name',
  [
    { maxLength: 64, message: 'use at most 64 characters' },
    { matches: /^[\w+=,.@-]+$/, message: 'use letters, digits and + = , . @ _ -' },
  ],
  (name) => (name.length > 64 ? `use at most 64 characters; the name has ${name.length}` : undefined),
);

export const checkIamPath = textCheck('IAM path', [
  { maxLength: 512, message: 'use at most 512 characters' },
  {
    matches: /^\/([\x21-\x7e]+\/)?$/,
    message: 'begin and end the path with a slash, such as /service-role/',
  },
]);

export const checkPolicyArn = textCheck('policy ARN', [
  {
    matches: /^arn:aws[a-z-]*:iam::(\d{12}|aws):policy\/[\w+=,.@/-]+$/,
    message: 'use the ARN of a managed policy, such as arn:aws:iam::111122223333:policy/name',
  },
  MAX_ARN_LENGTH,
]);

/** The ARN of a standard topic of SNS. */
const TOPIC_ARN_FORMAT = /^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$/;

export const checkTopicArn = textCheck('topic ARN', [
  {
    excludes: /\.fifo$/,
    message: 'CloudWatch alarms notify no FIFO topics; use a standard one',
  },
  {
    matches: TOPIC_ARN_FORMAT,
    message: 'use the ARN of an SNS topic, such as arn:aws:sns:us-east-1:111122223333:replication',
  },
  MAX_ARN_LENGTH,
]);

/** Texts of the characters that XML 1.0, the format of S3 and IAM, allows. */
const XML_TEXT = /^[\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u;

const XML_CHARACTERS: TextRule = {
  matches: XML_TEXT,
  message: 'remove the characters that XML, the format of the AWS API, does not allow',
};

function explainXmlCharacter(text: string): string | undefined {
  const character = [...text].find((candidate) => !XML_TEXT.test(candidate));
  const code = character?.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
  return code && `XML, the format of the AWS API, does not allow U+${code}; remove it`;
}

/** Creates a check of a text that S3 or IAM stores, with a maximum length in UTF-16 units. */
const storedTextCheck = (subject: string, ...lengths: [TextRule, ...TextRule[]]): TextCheck =>
  textCheck(subject, [...lengths, XML_CHARACTERS], (text) =>
    lengths.every((rule) => isMet(rule, text)) ? explainXmlCharacter(text) : undefined,
  );

/** The ARN of a queue or topic: partition, service, Region, account and name. */
const TARGET_ARN_FORMAT =
  /^arn:(aws[a-z-]*):(sqs|sns):([a-z0-9-]+):(\d{12}):([a-zA-Z0-9_-]{1,256}(?:\.fifo)?)$/;

/** Returns the parts of the ARN of a queue or topic. All are empty for another text. */
export function parseTargetArn(arn: string) {
  const [, partition = '', service = '', region = '', account = '', name = ''] =
    TARGET_ARN_FORMAT.exec(arn) ?? [];
  return { partition, service, region, account, name };
}

export const checkFailureTarget = textCheck('queue or topic ARN', [
  {
    matches: TARGET_ARN_FORMAT,
    message: 'use arn:aws:sqs:REGION:ACCOUNT:QUEUE or arn:aws:sns:REGION:ACCOUNT:TOPIC',
  },
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
  { excludes: /\.fifo$/, message: 'S3 sends no events to FIFO queues and topics; use a standard one' },
  MAX_ARN_LENGTH,
]);

export const checkDescription = storedTextCheck('description', {
  maxLength: 8_192,
  message: 'use at most 8,192 characters',
});

/** Checks a DNS label, which Kubernetes uses for names. */
export const checkDnsLabel = textCheck('name', [
  {
    matches: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    message: 'use 1 to 63 lower-case letters, digits and hyphens; begin and end with a letter or digit',
  },
  { maxLength: 63, message: 'use at most 63 characters' },
]);

/** Checks the key of a label by the rules of Kubernetes, so that selectors need no quotes. */
export const checkLabelKey = textCheck('label key', [
  {
    matches: /^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/,
    message: 'use 1 to 63 letters, digits, -, _ and ., optionally after a DNS name and a slash',
  },
]);

export const checkLabelValue = textCheck('label value', [
  {
    matches: /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/,
    message: 'use at most 63 letters, digits, -, _ and .; begin and end with a letter or digit',
  },
]);

export const checkTagKey = storedTextCheck(
  'tag key',
  { minLength: 1, message: 'use 1 to 128 characters' },
  { maxLength: 128, message: 'use 1 to 128 characters' },
);

export const checkTagValue = storedTextCheck('tag value', {
  maxLength: 256,
  message: 'use at most 256 characters',
});

export const checkVariableName = textCheck('variable name', [
  {
    matches: /^[A-Za-z][\w-]{0,62}$/,
    message: 'use 1 to 63 letters, digits, _ and -; begin with a letter',
  },
]);

/**
 * Checks the name of an environment variable. The required prefix prevents a spec from printing a credential from the
 * environment.
 */
export const checkEnvironmentName = textCheck('environment variable', [
  {
    matches: /^REPLIKEY_[A-Z0-9_]+$/,
    message:
      'use REPLIKEY_ followed by upper-case letters, digits and _; specs cannot read other environment variables',
  },
]);

export const checkNotEmpty = textCheck('value', [{ minLength: 1, message: 'use at least one character' }]);

export const checkRuleId = textCheck('rule id', [
  { matches: /^[\x20-\x7e]{1,255}$/, message: 'use 1 to 255 printable ASCII characters' },
  { maxLength: 255, message: 'use 1 to 255 printable ASCII characters' },
]);

/** Checks a key prefix, which is literal: an S3 key begins with a slash only if its writer included one. */
export const checkKeyPrefix = textCheck(
  'prefix',
  [
    { maxBytes: 1024, message: 'use at most 1,024 bytes of UTF-8' },
    {
      excludes: /^\//,
      message:
        'remove the leading slash; S3 compares prefixes literally, and no key begins with a slash unless its writer included one',
    },
    XML_CHARACTERS,
  ],
  (prefix) => {
    const bytes = Buffer.byteLength(prefix);
    if (bytes > 1024) return `use at most 1,024 bytes of UTF-8; the prefix has ${bytes}`;
    return prefix.startsWith('/') ? undefined : explainXmlCharacter(prefix);
  },
);

/**
 * Returns the default role name: `replikey-` and the source bucket. A name too long for IAM is cut, and a hash keeps it
 * unique.
 */
export function defaultRoleName(bucket: string): string {
  const name = `replikey-${bucket}`;
  if (name.length <= 64) return name;
  return `${name.slice(0, 55)}-${createHash('sha256').update(bucket).digest('hex').slice(0, 8)}`;
}

/** The alarms that replikey creates: on failed operations, and on late replication. */
export type AlarmType = 'failed' | 'late';

/**
 * Returns the name of the alarm on one rule: at most 150 characters, while CloudWatch allows 255. Names of specs and rules
 * have hyphens, so two rules may have one name; `checkAlarmNamesUnique` reports these.
 */
export const ruleAlarmName = (spec: string, rule: string, type: AlarmType): string =>
  `replikey-${spec}-${rule}-${type}`;

/** Returns the name of the alarm on all rules of an account in a Region. No alarm on one rule has this name. */
export const accountAlarmName = (type: AlarmType): string => `replikey-${type}`;

/** Checks the prefix of completion reports (API reference, JobReport: at most 512 characters). */
export const checkReportPrefix = storedTextCheck(
  'prefix',
  { maxLength: 512, message: 'use at most 512 characters' },
  { minLength: 1, message: 'use at least one character' },
);

/** Returns the default name of the role of batch jobs: `replikey-batch-` and the source bucket, within IAM's 64 characters. */
export const defaultBatchRoleName = (bucket: string): string =>
  bucket.length <= 49 ? `replikey-batch-${bucket}` : defaultRoleName(`batch-${bucket}`);

/** An instant of ISO 8601 with its offset from UTC. */
export const INSTANT_PATTERN =
  /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

export const checkInstant = textCheck('instant', [
  {
    matches: INSTANT_PATTERN,
    message: 'use date, time and offset in the form of ISO 8601, such as 2026-12-01T00:00:00Z',
  },
]);

/** A duration with one unit: seconds, minutes or hours. */
export const DURATION_PATTERN = /^\d{1,6}[smh]$/;

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;
const MAX_DURATION_MS = 7 * 24 * 3_600_000;

const DURATION_MESSAGE = 'use a whole number with the unit s, m or h, at most 168h, for example 15m';

export const checkDuration = textCheck('duration', [
  { matches: DURATION_PATTERN, message: DURATION_MESSAGE },
  { maxDurationMs: MAX_DURATION_MS, message: DURATION_MESSAGE },
]);

/** Returns a valid duration in milliseconds. */
export const parseDuration = (text: string): number =>
  Number(text.slice(0, -1)) * UNIT_MS[text.slice(-1) as keyof typeof UNIT_MS];

/** Maximum number of tags of a role (IAM User Guide, "IAM and AWS STS quotas"). */
export const MAX_ROLE_TAGS = 50;
