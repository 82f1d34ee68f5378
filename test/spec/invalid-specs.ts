import { changed, HOUSE, MAIN, referring, SHORT, TAX, tax, together, VARIABLES } from './support.ts';

const KEY = '    key: alias/acme-tax\n';
const RULES = '  rules:\n    - prefix: Tax/\n';
const ID = '1234abcd-12ab-34cd-56ef-1234567890ab';
const BACKUP = MAIN.replace('main', 'backup').replace('1111', '4444');
const UNMANAGED_BACKUP = BACKUP.replace('id:', 'managed: false\n  id:');
/** A pair across accounts, with their documents. */
const across = (main: string, backup: string, ...changes: [string, string][]) =>
  together(
    tax([KEY, `${KEY}    account: main\n`], ['us-west-2', 'us-west-2\n    account: backup'], ...changes),
    main,
    backup,
  );
const QUEUE = 'arn:aws:sqs:us-east-1:111122223333:failures';
/** A pair with failure events, given as a mapping. */
const failing = (failures: string, ...changes: [string, string][]) =>
  tax(['  rules:', `  failures: { ${failures} }\n  rules:`], ...changes);
const other = (...changes: [string, string][]) => tax(['name: tax', 'name: other'], ...changes);

const EAST_TOPIC = 'arn:aws:sns:us-east-1:111122223333:replication';
const WEST_TOPIC = 'arn:aws:sns:us-west-2:111122223333:replication';
/** A pair with alarms, and other changes. */
const alarms = (settings: string, ...changes: [string, string][]) =>
  tax(...changes, ['  rules:', `  alarms: { ${settings} }\n  rules:`]);

/** A pair with a backfill, and other changes. */
const backfill = (settings: string, ...changes: [string, string][]) =>
  tax(...changes, ['  rules:', `  backfill: { ${settings} }\n  rules:`]);
/** A pair with a re-encryption, given as a mapping, and a replaced key of the source. */
const reencrypt = (settings: string, hasReplacedKey = true) =>
  tax(
    ['  rules:', `  reencrypt: ${settings}\n  rules:`],
    ...(hasReplacedKey
      ? [[KEY, '    key: { alias: alias/acme-tax, replaces: [alias/acme-old] }\n'] as [string, string]]
      : []),
  );
const BEFORE = 'before: "2026-01-01T00:00:00Z"';

/** Invalid specs by name. golden/invalid-specs.txt has their problems. */
export const INVALID_SPECS: Record<string, string> = {
  // The envelope.
  'a string instead of a document': 'hello\n',
  'a list instead of a document': '- apiVersion: replikey.dev/v1\n',
  'a document without kind': tax(['kind: BucketReplication\n', '']),
  'a misspelt kind': tax(['BucketReplication', 'BucketReplicaton']),
  'a Kubernetes kind': tax(['BucketReplication', 'Deployment']),
  'another apiVersion': tax(['replikey.dev/v1', 'replikey.dev/v2']),
  'no apiVersion': tax(['apiVersion: replikey.dev/v1\n', '']),
  'an upper-case name': tax(['name: tax', 'name: Tax']),
  'no metadata': tax(['metadata:\n  name: tax\n', '']),
  'an empty metadata': tax(['metadata:\n  name: tax\n', 'metadata:\n']),
  'a namespace': tax(['name: tax', 'name: tax\n  namespace: finance']),
  'a status': `${TAX}status: {}\n`,
  'a label that is a number': tax(['name: tax', 'name: tax\n  labels: { cost: 0012 }']),
  'a label with a space': tax(['name: tax', 'name: tax\n  labels: { "cost center": a, team: "a b" }']),
  'no spec': tax([TAX.slice(TAX.indexOf('spec:')), '']),

  // Alarms.
  'alarms without an alarm': alarms(`notify: [${EAST_TOPIC}]`),
  'an alarm without a topic': alarms('failed: true'),
  'alarms that lack a topic in the Region of the source': alarms(
    `failed: true, lateAfterMinutes: 30, notify: [${WEST_TOPIC}]`,
  ),
  'a topic in a Region without an alarm': alarms(`failed: true, notify: [${EAST_TOPIC}, ${WEST_TOPIC}]`),
  'a topic in another partition': alarms(
    `failed: true, notify: [${EAST_TOPIC}, arn:aws-cn:sns:us-east-1:111122223333:replication]`,
  ),
  'a FIFO topic': alarms(`failed: true, notify: [${EAST_TOPIC}.fifo]`),
  'a queue instead of a topic': alarms(`failed: true, notify: [${EAST_TOPIC.replace('sns', 'sqs')}]`),
  'a topic twice': alarms(`failed: true, notify: [${EAST_TOPIC}, ${EAST_TOPIC}]`),
  'too many topics for an alarm': alarms(
    `failed: true, notify: [${['a', 'b', 'c', 'd', 'e', 'f'].map((suffix) => EAST_TOPIC + suffix).join(', ')}]`,
  ),
  'a latency that is no multiple of the period': alarms(`lateAfterMinutes: 7, notify: [${WEST_TOPIC}]`),
  'a latency that is too short': alarms(`lateAfterMinutes: 0, notify: [${WEST_TOPIC}]`),
  'alarms on a rule without metrics': alarms(`failed: true, notify: [${EAST_TOPIC}]`, [
    'Tax/',
    'Tax/\n      metrics: false',
  ]),
  'alarms of both directions with a topic for one': alarms(
    `failed: true, lateAfterMinutes: 30, notify: [${EAST_TOPIC}]`,
    ['  rules:', '  direction: both\n  rules:'],
  ),
  'two rules with alarms of one name': together(
    alarms(`failed: true, notify: [${EAST_TOPIC}]`, ['Tax/', 'Tax/\n      name: book-all']),
    alarms(
      `failed: true, notify: [${EAST_TOPIC}]`,
      ['name: tax', 'name: tax-book'],
      ['prefix: Tax/', 'prefix: Books/\n      name: all'],
    ),
  ),
  'two specs that disagree about an alarm of the account': together(
    alarms(`scope: account, failed: true, lateAfterMinutes: 30, notify: [${EAST_TOPIC}, ${WEST_TOPIC}]`),
    alarms(
      `scope: account, failed: true, lateAfterMinutes: 60, notify: [${EAST_TOPIC}s, ${WEST_TOPIC}]`,
      ['name: tax', 'name: books'],
      ['prefix: Tax/', 'prefix: Books/'],
    ),
  ),

  // Backfill.
  'a backfill without an instant': backfill('objects: [failed]'),
  'a backfill before a date': backfill('before: "2026-01-01"'),
  'a backfill before a day that the month lacks': backfill('before: "2026-02-30T00:00:00Z"'),
  'a backfill before an instant in the future': backfill('before: "2999-01-01T00:00:00Z"'),
  'a backfill of an empty period': backfill(`${BEFORE}, after: "2026-01-01T01:00:00+01:00"`),
  'a backfill of unknown objects': backfill(`${BEFORE}, objects: [pending]`),
  'a backfill of the same objects twice': backfill(`${BEFORE}, objects: [failed, failed]`),
  'a backfill of no objects': backfill(`${BEFORE}, objects: []`),
  'a backfill of at most no objects': backfill(`${BEFORE}, maxObjects: 0`),
  'a backfill of objects that no other spec replicates': backfill(`${BEFORE}, objects: [elsewhere]`),
  'a backfill elsewhere that starts by itself': together(
    backfill(`${BEFORE}, objects: [elsewhere], start: Automatic`),
    tax(['name: tax', 'name: books'], ['prefix: Tax/', 'prefix: Books/']),
  ),
  'a backfill without an enabled rule': backfill(BEFORE, ['Tax/', 'Tax/\n      enabled: false']),
  'a backfill whose report is in the destination': backfill(
    `${BEFORE}, report: { bucket: acme-tax-replica }`,
  ),
  'a backfill whose report is in the destination of another spec': together(
    backfill(`${BEFORE}, report: { bucket: acme-books-replica }`),
    tax(
      ['name: tax', 'name: books'],
      ['bucket: acme-tax\n', 'bucket: acme-books\n'],
      ['acme-tax-replica', 'acme-books-replica'],
    ),
  ),
  'a backfill of both directions with one report': backfill(`${BEFORE}, report: { bucket: acme-reports }`, [
    '  rules:',
    '  direction: both\n  rules:',
  ]),
  'a backfill with the role of replication': backfill(`${BEFORE}, role: { name: Replikey-acme-tax }`),
  'a backfill with a role by name and by ARN': backfill(
    `${BEFORE}, role: { name: batch, arn: "arn:aws:iam::111122223333:role/batch" }`,
  ),
  'a backfill with a role of another partition': backfill(
    `${BEFORE}, role: { arn: "arn:aws-cn:iam::111122223333:role/batch" }`,
  ),
  'a backfill with an empty role': backfill(`${BEFORE}, role: {}`),
  'two specs that disagree about one job': together(
    backfill(`${BEFORE}, priority: 1`),
    backfill(
      `${BEFORE}, start: Automatic`,
      ['name: tax', 'name: tax-too'],
      ['prefix: Tax/', 'name: other\n      priority: 7\n      prefix: Tax/'],
    ),
  ),

  // The fields.
  'a misspelt key': tax(['region: us-east-1', 'regoin: us-east-1']),
  'a missing field': tax(['    region: us-east-1\n', '']),
  'a missing key': tax([KEY, '']),
  'a missing side': tax([TAX.slice(TAX.indexOf('  destination:'), TAX.indexOf('  rules:')), '']),
  'a field in the wrong mapping': tax([KEY, `${KEY}    storageClass: GLACIER\n`]),
  'an unknown field': tax(['  rules:', '  shape: both\n  rules:']),
  'an unknown direction': tax(['  rules:', '  direction: back\n  rules:']),
  existingObjectReplication: tax(['Tax/', 'Tax/\n      existingObjectReplication: true']),
  'a bucket name in upper case': tax(['bucket: acme-tax\n', 'bucket: Acme-Tax\n']),
  'a bucket name that is too short': tax(['bucket: acme-tax\n', 'bucket: ac\n']),
  'a reserved bucket name': tax(['bucket: acme-tax\n', 'bucket: acme-s3alias\n']),
  'a bucket name with the suffix of the account-regional namespace': tax([
    'bucket: acme-tax\n',
    'bucket: acme-an\n',
  ]),
  'account-regional names for another account and another Region': together(
    tax(
      ['bucket: acme-tax\n', 'bucket: acme-tax-999922223333-us-east-1-an\n'],
      ['bucket: acme-tax-replica\n', 'bucket: acme-tax-111122223333-us-east-1-an\n'],
      [KEY, `${KEY}    account: main\n`],
      ['us-west-2', 'us-west-2\n    account: main'],
    ),
    MAIN,
  ),
  'a bucket name in the form of an IP address': tax(['bucket: acme-tax\n', 'bucket: 10.0.0.1\n']),
  'a bucket name that is a number': tax(['bucket: acme-tax\n', 'bucket: 20261123\n']),
  'a bucket name that is a list': tax(['bucket: acme-tax\n', 'bucket: [acme-tax]\n']),
  'an availability zone': tax(['us-east-1', 'us-east-1a']),
  'a misspelt Region': tax(['us-east-1', 'us-est-1']),
  'the display name of a Region': tax(['us-east-1', 'US East (N. Virginia)']),
  'a misspelt storage class': tax(['us-west-2', 'us-west-2\n    storageClass: STANDARD_AI']),
  'yes instead of true': tax(['Tax/', 'Tax/\n      enabled: yes']),
  'off instead of false': tax(['Tax/', 'Tax/\n      metrics: off']),
  'a quoted priority': tax(['Tax/', 'Tax/\n      priority: "1"']),
  'a priority with a fraction': tax(['Tax/', 'Tax/\n      priority: 1.5']),
  'a negative priority': tax(['Tax/', 'Tax/\n      priority: -1']),
  'a priority out of range': tax(['Tax/', 'Tax/\n      priority: 2147483648']),
  'a priority that is not finite': tax(['Tax/', 'Tax/\n      priority: 1e400']),
  'an enum in lower case': `${TAX}  policy: { adopt: always }\n`,
  'an unknown enum value': `${TAX}  policy: { deletion: Purge }\n`,
  'a rule that is not in a list': tax(['    - prefix: Tax/', '    prefix: Tax/']),
  'a rule that is a string': tax(['- prefix: Tax/', '- Tax/']),
  'no rules': tax([RULES, '  rules: []\n']),
  'an empty field': tax(['prefix: Tax/', 'prefix:']),
  'a prefix with a leading slash': tax(['prefix: Tax/', 'prefix: /Tax/']),
  'a prefix that is too long': tax(['prefix: Tax/', `prefix: ${'é'.repeat(513)}`]),
  'a prefix with an unpaired surrogate': tax(['prefix: Tax/', 'prefix: "Tax\\ud83d/"']),
  'a tag with a control character': tax(['prefix: Tax/', 'filter: { tags: { tier: "\\e[31mgold" } }']),
  'a tag key that is empty': tax(['prefix: Tax/', 'filter: { tags: { "": gold } }']),
  'a tag value that is too long': tax(['prefix: Tax/', `filter: { tags: { tier: ${'x'.repeat(257)} } }`]),
  'a role name that is too long': tax(['  rules:', `  role: { name: ${'r'.repeat(65)} }\n  rules:`]),
  'a role name with a slash': tax(['  rules:', '  role: { name: a/b }\n  rules:']),
  'a role ARN that is a user': tax([
    '  rules:',
    '  role: { arn: "arn:aws:iam::111122223333:user/x" }\n  rules:',
  ]),
  'a role that is a string': tax(['  rules:', '  role: replikey\n  rules:']),

  // Accounts.
  'an account id without quotes': together(TAX, MAIN.replace('"111122223333"', '012345678901')),
  'an account id that is too short': together(TAX, MAIN.replace('111122223333', '12345678901')),
  'no account id': together(TAX, MAIN.replace('  id: "111122223333"', '  profile: x')),
  'an account with profile and role': together(
    TAX,
    `${MAIN}  profile: x\n  assumeRole: { arn: "arn:aws:iam::111122223333:role/x" }\n`,
  ),
  'an assumed role without ARN': together(TAX, `${MAIN}  assumeRole: { externalId: x }\n`),
  'an unknown account': together(
    tax([KEY, `${KEY}    account: mian\n`], ['us-west-2', 'us-west-2\n    account: mian']),
    MAIN,
  ),
  'an account on one side only': together(tax([KEY, `${KEY}    account: main\n`]), MAIN),
  'two unmanaged accounts': across(MAIN.replace('id:', 'managed: false\n  id:'), UNMANAGED_BACKUP),
  'an alias in an unmanaged account': across(MAIN, UNMANAGED_BACKUP),
  'credentials of an unmanaged account': `${UNMANAGED_BACKUP}  profile: backup\n`,
  'one role by ARN for both directions across accounts': across(MAIN, BACKUP, [
    '  rules:',
    '  direction: both\n  role: { arn: "arn:aws:iam::111122223333:role/r" }\n  rules:',
  ]),
  'objectOwner within one account': tax(['us-west-2', 'us-west-2\n    objectOwner: destination']),
  'a default retention without a period': tax([
    'us-west-2',
    'us-west-2\n    objectLock: { mode: Governance }',
  ]),
  'a default retention without a mode': tax(['us-west-2', 'us-west-2\n    objectLock: { days: 30 }']),
  'a default retention of days and years': tax([
    'us-west-2',
    'us-west-2\n    objectLock: { mode: Compliance, days: 30, years: 1 }',
  ]),
  'Object Lock on one side of a two-way pair': tax(
    ['us-west-2', 'us-west-2\n    objectLock: {}'],
    ['  rules:', '  direction: both\n  rules:'],
  ),
  'one bucket with two default retentions': together(
    tax(['us-west-2', 'us-west-2\n    objectLock: {}']),
    other(['us-west-2', 'us-west-2\n    objectLock: { mode: Governance, days: 1 }'], ['Tax/', 'Other/']),
  ),
  'a spec with the name of the reverse direction of another spec': together(
    tax(['  rules:', '  direction: both\n  rules:']),
    tax(
      ['name: tax', 'name: tax-reverse'],
      ['bucket: acme-tax\n', 'bucket: acme-two\n'],
      ['acme-tax-replica', 'acme-three'],
    ),
  ),

  // Settings of buckets and keys.
  'a Bucket Key under DSSE-KMS': tax([
    KEY,
    '    key: { alias: alias/acme-tax, bucketKey: true }\n    defaultEncryption: DSSE-KMS\n',
  ]),
  'an encryption in the form of the API': tax([KEY, `${KEY}    defaultEncryption: aws:kms\n`]),
  'a rotation period that is too short': tax([
    KEY,
    '    key: { alias: alias/acme-tax, rotation: true, rotationPeriodInDays: 30 }\n',
  ]),
  'a rotation period without rotation': tax([
    KEY,
    '    key: { alias: alias/acme-tax, rotation: false, rotationPeriodInDays: 365 }\n',
  ]),
  'the description of a key by ARN': tax([
    KEY,
    `    key: { arn: "arn:aws:kms:us-east-1:111122223333:key/${ID}", description: Tax }\n`,
  ]),
  'a duplicate source key': tax(['  rules:', '  sourceKeys: [alias/acme-tax]\n  rules:']),
  'a key that replaces itself, a key twice, and keys in another Region and of another account': together(
    tax([
      KEY,
      `    account: main
    key:
      alias: alias/acme-tax
      replaces:
        - alias/acme-tax
        - alias/acme-old
        - alias/acme-old
        - "arn:aws:kms:eu-west-1:111122223333:key/${ID}"
        - "arn:aws:kms:us-east-1:444455556666:key/${ID.replace('1234', '5678')}"\n`,
    ]).replace('region: us-west-2', 'region: us-west-2\n    account: main'),
    MAIN,
  ),
  'a replaced key in sourceKeys, and no replaced key': tax(
    [KEY, '    key: { alias: alias/acme-tax, replaces: [alias/acme-old] }\n'],
    ['  rules:', '  sourceKeys: [alias/acme-old]\n  rules:'],
    ['alias/acme-tax-replica', '{ alias: alias/acme-tax-replica, replaces: [] }'],
  ),
  'a re-encryption with the role of replication': reencrypt('{ role: { name: replikey-acme-tax } }'),
  'a re-encryption without a replaced key': reencrypt('{}', false),
  'a re-encryption with wrong settings': reencrypt(
    '{ start: Now, maxObjects: 0, countedAfter: tomorrow, role: { arn: "arn:aws:iam::111122223333:role/r" } }',
  ),
  'a re-encryption after a day that does not exist': reencrypt('{ countedAfter: "2026-02-30T00:00:00Z" }'),
  'a re-encryption under a key of another account': together(
    tax(
      [
        KEY,
        `    account: main\n    key: { arn: "arn:aws:kms:us-east-1:444455556666:key/${ID}", replaces: [alias/acme-old] }\n`,
      ],
      ['us-west-2', 'us-west-2\n    account: main'],
      ['  rules:', '  reencrypt: {}\n  rules:'],
    ),
    MAIN,
  ),
  'a re-encryption in an unmanaged account': across(
    MAIN,
    UNMANAGED_BACKUP,
    [
      'alias/acme-tax-replica',
      `{ arn: "arn:aws:kms:us-west-2:444455556666:key/${ID}", replaces: [${ID.replace('1234', '5678')}] }`,
    ],
    ['  rules:', '  reencrypt: {}\n  rules:'],
  ),
  'two re-encryptions of one bucket': together(
    reencrypt('{}'),
    reencrypt('{ start: Automatic }')
      .replace('name: tax', 'name: other')
      .replace('bucket: acme-tax-replica', 'bucket: acme-three'),
  ),
  'two lists of replaced keys of one bucket': together(
    tax([KEY, '    key: { alias: alias/acme-tax, replaces: [alias/acme-old] }\n']),
    other(
      ['bucket: acme-tax-replica', 'bucket: acme-three'],
      [KEY, '    key: { alias: alias/acme-tax, replaces: [alias/acme-older] }\n'],
    ),
  ),
  'a source key in another Region': tax([
    '  rules:',
    `  sourceKeys: ["arn:aws:kms:eu-west-1:111122223333:key/${ID}"]\n  rules:`,
  ]),
  'tags of a role by ARN': tax([
    '  rules:',
    '  role: { arn: "arn:aws:iam::111122223333:role/r", tags: { a: b } }\n  rules:',
  ]),
  'a path without slashes': tax(['  rules:', '  role: { path: service-role }\n  rules:']),
  'a permissions boundary by name': tax([
    '  rules:',
    '  role: { permissionsBoundary: Developers }\n  rules:',
  ]),
  'two default encryptions of one bucket': together(
    TAX,
    other(['bucket: acme-tax-replica', 'bucket: acme-three'], [KEY, `${KEY}    defaultEncryption: SSE-S3\n`]),
  ),
  'two descriptions of one key': together(
    tax([KEY, '    key: { alias: alias/acme-tax, description: one }\n']),
    other(
      ['bucket: acme-tax-replica', 'bucket: acme-three'],
      [KEY, '    key: { alias: alias/acme-tax, description: two }\n'],
    ),
  ),

  // Guardrails.
  'a Region, a key and an account that the guardrails do not allow': together(
    TAX,
    `apiVersion: replikey.dev/v1
kind: Guardrails
metadata: { name: all }
spec:
  accounts: ["444455556666"]
  regions: [us-east-1, eu-west-1]
  keys: [alias/acme-tax]
  maxChanges: 50
`,
  ),
  'guardrails with a negative limit': together(
    TAX,
    'apiVersion: replikey.dev/v1\nkind: Guardrails\nmetadata: { name: all }\nspec: { maxRemovals: -1 }\n',
  ),

  // Variables.
  'an undeclared variable': tax(['name: tax', `name: tax-${referring('stage')}`]),
  'a misspelt variable': together(VARIABLES, tax(['name: tax', `name: tax-${referring('stgae')}`])),
  'a variable without a value': together(VARIABLES, tax(['prefix: Tax/', `prefix: ${referring('team')}/`])),
  'a variable without a value, from the environment': together(
    changed(VARIABLES, ['default: 10, ', '']),
    tax(['Tax/', `Tax/\n      priority: ${referring('first')}`]),
  ),
  'invalid variable references': tax(
    ['name: tax', `name: tax-${referring('')}`],
    ['bucket: acme-tax\n', `bucket: ${referring('stage').replace('var', ' var')}\n`],
    ['Tax/', `"${referring('stage').slice(0, -1)}"`],
  ),
  'a variable as a key': together(
    VARIABLES,
    tax(['name: tax', `name: tax\n  labels: { "${referring('stage')}": x }`]),
  ),
  'a variable without quotes between braces': together(
    VARIABLES,
    tax(['name: tax', `name: tax\n  labels: { stage: ${referring('stage')} }`]),
  ),
  'a variable of another type than its field': together(
    VARIABLES,
    tax(
      ['us-east-1', referring('first')],
      ['Tax/', `Tax/\n      enabled: ${referring('stage')}\n      priority: "${referring('paused')}"`],
    ),
  ),
  'a variable with an invalid value': together(
    changed(VARIABLES, ['default: dev', 'default: Dev'], ['[dev, prod]', '[Dev, prod]']),
    tax(['bucket: acme-tax\n', `bucket: acme-${referring('stage')}\n`]),
  ),
  'a variable with two declarations': together(
    VARIABLES,
    changed(VARIABLES, ['name: stage', 'name: other'], ['enum: [dev, prod], ', '']),
    TAX,
  ),
  'two Variables documents of one name': together(
    VARIABLES,
    'apiVersion: replikey.dev/v1\nkind: Variables\nmetadata: { name: stage }\nspec: { variables: {} }\n',
    TAX,
  ),
  'inconsistent variable declarations': together(
    changed(
      VARIABLES,
      ['default: dev', 'default: test'],
      ['default: false', 'default: "no"'],
      ['default: 10', 'default: 010'],
      ['team: { type: string', 'team: { type: string, enum: [1, a], default: true'],
    ),
    tax(['Tax/', `${referring('stage')}/${referring('team')}`]),
  ),
  'invalid variable declarations': together(
    changed(
      VARIABLES,
      ['stage: {', '2nd stage: {'],
      ['team: { type: string }', 'team: { type: text, defaults: x }'],
      ['type: boolean, ', 'enum: [], '],
      ['default: 10', 'default: [10]'],
      ['REPLIKEY_FIRST', 'HOME'],
    ),
    tax(['Tax/', `${referring('team')}/${referring('paused')}`]),
  ),
  'a variable that references another variable': together(
    changed(VARIABLES, ['team: { type: string', `team: { type: string, default: "${referring('stage')}"`]),
    TAX,
  ),
  'a variable as a kind': tax(['kind: BucketReplication', `kind: ${referring('kind')}`]),

  // Defaults.
  'unknown Defaults': SHORT,
  'a misspelt name of Defaults': together(HOUSE, changed(SHORT, ['house', 'hose'], ['bucket:', 'buckt:'])),
  'a list instead of the name of Defaults': together(HOUSE, changed(SHORT, ['house', '[house]'])),
  'the field defaults in the wrong mapping': together(
    HOUSE,
    changed(SHORT, ['    bucket', '    defaults: house\n    bucket']),
  ),
  'Defaults that use Defaults': together(changed(HOUSE, ['spec:', 'spec:\n  defaults: other']), SHORT),
  'two Defaults documents of one name': together(HOUSE, HOUSE, SHORT),
  'fields that neither a pair nor its Defaults set': together(
    changed(HOUSE, ['region: us-east-1, ', '']),
    changed(SHORT, ['    key: alias/acme-tax\n', '']),
  ),
  'invalid Defaults that two pairs use': together(
    changed(
      HOUSE,
      ['us-west-2', 'mars'],
      ['region: us-east-1', 'regoin: us-east-1'],
      ['- prefix', '- prefx'],
    ),
    SHORT,
    changed(
      SHORT,
      ['name: tax', 'name: two'],
      ['bucket: acme-tax', 'bucket: acme-two'],
      ['acme-tax\n', 'acme-two\n'],
    ),
  ),
  'an invalid field of Defaults that a pair overrides': together(
    changed(HOUSE, ['us-west-2', 'mars']),
    `${SHORT}  destination: { region: us-west-1 }\n`,
  ),
  'Defaults without a spec': together(changed(HOUSE, [HOUSE.slice(HOUSE.indexOf('spec:')), '']), SHORT),
  'Defaults that conflict with pairs': together(
    changed(HOUSE, ['rotation: true', 'rotation: true, bucketKey: true']),
    `${SHORT}    defaultEncryption: SSE-S3\n`,
    changed(
      SHORT,
      ['name: tax', 'name: two'],
      ['bucket: acme-tax', 'bucket: acme-two'],
      ['alias/acme-tax', `arn:aws:kms:us-east-1:111122223333:key/${ID}`],
    ),
  ),
  'Defaults that are incomplete for every pair': together(
    changed(HOUSE, ['prefix: Tax/', 'enabled: true']),
    SHORT,
    changed(SHORT, ['name: tax', 'name: two'], ['bucket: acme-tax', 'bucket: acme-two']),
  ),
  'an invalid key, with key settings in Defaults': together(
    HOUSE,
    changed(SHORT, ['alias/acme-tax', 'acme-tax']),
  ),
  'two pairs that inherit the same priority': together(
    changed(HOUSE, ['prefix: Tax/', 'prefix: Tax/\n      priority: 1']),
    SHORT,
    changed(SHORT, ['name: tax', 'name: two']),
  ),

  // Keys.
  'a key without alias/': tax(['alias/acme-tax\n', 'acme-tax\n']),
  'an AWS managed key': tax(['alias/acme-tax\n', 'alias/aws/s3\n']),
  'an AWS managed key in the long form': tax(['alias/acme-tax\n', '{ alias: alias/aws/s3 }\n']),
  'the ARN of an alias': tax(['alias/acme-tax\n', 'arn:aws:kms:us-east-1:111122223333:alias/acme-tax\n']),
  'a truncated key ARN': tax(['alias/acme-tax\n', 'arn:aws:kms:us-east-1:111122223333:key\n']),
  'a key in another Region': tax(['alias/acme-tax\n', `arn:aws:kms:eu-west-1:111122223333:key/${ID}\n`]),
  'a bare key id without account': tax(['alias/acme-tax\n', `${ID}\n`]),
  'an alias and an ARN': tax([
    'alias/acme-tax\n',
    `{ alias: alias/a, arn: "arn:aws:kms:us-east-1:111122223333:key/${ID}" }\n`,
  ]),
  'a long form without alias and ARN': tax(['alias/acme-tax\n', '{ rotation: true }\n']),
  'the rotation of a key by ARN': tax([
    'alias/acme-tax\n',
    `{ arn: "arn:aws:kms:us-east-1:111122223333:key/${ID}", rotation: true }\n`,
  ]),
  'a misspelt key in the long form': tax(['alias/acme-tax\n', '{ alais: alias/acme-tax }\n']),
  'a key that is a number': tax(['alias/acme-tax\n', '42\n']),

  // Conflicts between fields of a spec.
  'one bucket on both sides': tax(['acme-tax-replica\n', 'acme-tax\n']),
  'two partitions': tax(['us-west-2', 'cn-north-1']),
  'the European Sovereign Cloud and Germany': tax(
    ['us-east-1', 'eusc-de-east-1'],
    ['us-west-2', 'eu-central-1'],
  ),
  'two isolated partitions': tax(['us-east-1', 'us-iso-east-1'], ['us-west-2', 'us-isob-east-1']),
  'ARNs of another partition': tax(
    ['us-east-1', 'eusc-de-east-1'],
    ['us-west-2', 'eusc-de-east-1'],
    [KEY, `    key: arn:aws:kms:eusc-de-east-1:111122223333:key/${ID}\n`],
    ['  rules:', '  role: { arn: "arn:aws:iam::111122223333:role/x" }\n  rules:'],
  ),
  'a role by name and by ARN': tax([
    '  rules:',
    '  role: { name: x, arn: "arn:aws:iam::111122223333:role/x" }\n  rules:',
  ]),
  'an empty role': tax(['  rules:', '  role: {}\n  rules:']),
  'a role in another account': together(
    tax(
      [KEY, `${KEY}    account: main\n`],
      ['us-west-2', 'us-west-2\n    account: main'],
      ['  rules:', '  role: { arn: "arn:aws:iam::444422223333:role/x" }\n  rules:'],
    ),
    MAIN,
  ),
  'a prefix and a filter': tax(['prefix: Tax/', 'prefix: Tax/\n      filter: { prefix: Tax/ }']),
  'neither prefix nor filter': tax(['prefix: Tax/', 'enabled: true']),
  'an empty filter': tax(['prefix: Tax/', 'filter: {}']),
  'an exclusion without a prefix': tax(['prefix: Tax/', 'filter: { exclude: { prefixes: [Tmp/] } }']),
  'an empty exclusion': tax(['prefix: Tax/', 'filter: { prefix: Tax/, exclude: {} }']),
  'an exclusion of every object': tax([
    'prefix: Tax/',
    'filter: { prefix: Tax/, exclude: { prefixes: [Tax/] } }',
  ]),
  'an exclusion of the tag that the rule requires': tax([
    'prefix: Tax/',
    'filter: { tags: { tier: gold }, exclude: { tags: { tier: gold } } }',
  ]),
  'an excluded prefix with an asterisk': tax([
    'prefix: Tax/',
    'filter: { prefix: Tax/, exclude: { prefixes: ["Tax/*.tmp"] } }',
  ]),
  'more tags than an object has': tax([
    'prefix: Tax/',
    `filter: { tags: { ${Array.from({ length: 11 }, (_, n) => `t${n}: x`).join(', ')} } }`,
  ]),
  'delete markers with tags': tax([
    'prefix: Tax/',
    'filter: { tags: { tier: gold } }\n      deleteMarkerReplication: true',
  ]),
  'replicationTimeControl without metrics': tax([
    'prefix: Tax/',
    'prefix: Tax/\n      replicationTimeControl: true\n      metrics: false',
  ]),
  'two rules of one name': tax([
    'prefix: Tax/',
    'prefix: Tax/\n      name: all\n    - { prefix: X/, name: all }',
  ]),
  'two priorities in a spec': tax([
    'prefix: Tax/',
    'prefix: Tax/\n      priority: 3\n    - { prefix: X/, priority: 3 }',
  ]),

  // Failure events.
  'failure events without a target': failing('events: [failed]'),
  'failure events to a URL': failing('to: "https://sqs.us-east-1.amazonaws.com/111122223333/failures"'),
  'failure events to a FIFO queue': failing(`to: "${QUEUE}.fifo"`),
  'failure events to a queue in another Region': failing(`to: "${QUEUE.replace('us-east-1', 'us-west-2')}"`),
  'failure events to a topic in another partition': failing(
    `to: "${QUEUE.replace('arn:aws:sqs:us-east-1', 'arn:aws-cn:sns:cn-north-1')}"`,
  ),
  'an unknown failure event': failing(`to: "${QUEUE}", events: [faild]`),
  'no failure events': failing(`to: "${QUEUE}", events: []`),
  'failure events of Replication Time Control without a rule that has it': failing(
    `to: "${QUEUE}", events: [failed, missedThreshold, replicatedLate, notTracked]`,
  ),
  'failure events of a rule without metrics': failing(`to: "${QUEUE}"`, [
    'prefix: Tax/',
    'prefix: Tax/\n      metrics: false',
  ]),
  'failure events to an account without a document': across(MAIN, BACKUP, [
    '  rules:',
    `  failures: { to: "${QUEUE.replace('111122223333', '777788889999')}" }\n  rules:`,
  ]),
  'failure events of both directions to one Region': failing(`to: "${QUEUE}"`, [
    '  rules:',
    '  direction: both\n  rules:',
  ]),
  'failure events of a reverse direction that does not exist': failing(
    `to: "${QUEUE}", reverseTo: "${QUEUE.replace('us-east-1', 'us-west-2')}"`,
  ),
  'failure events of the reverse direction to another Region': failing(
    `to: "${QUEUE}", reverseTo: "${QUEUE}"`,
    ['  rules:', '  direction: both\n  rules:'],
  ),
  'failure events of one bucket to two queues': together(
    failing(`to: "${QUEUE}"`),
    failing(
      `to: "${QUEUE}-2", events: [failed, notTracked]`,
      ['name: tax', 'name: other'],
      ['Tax/', 'Other/'],
    ),
  ),

  // Conflicts between specs.
  'two specs of one name': together(TAX, tax(['Tax/', 'Ledgers/'])),
  'a bucket in two Regions': together(TAX, other(['us-east-1', 'eu-west-1'])),
  'a bucket with two keys': together(TAX, other(['alias/acme-tax\n', 'alias/other\n'])),
  'a bucket with and without Bucket Key': together(
    TAX,
    other(['alias/acme-tax\n', '{ alias: alias/acme-tax, bucketKey: false }\n']),
  ),
  'an alias with two rotations': together(
    tax(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: true }\n']),
    other(['alias/acme-tax\n', '{ alias: alias/acme-tax, rotation: false }\n']),
  ),
  'a source with two roles': together(TAX, other(['  rules:', '  role: { name: mine }\n  rules:'])),
  'roles that differ in case': together(
    tax(['  rules:', '  role: { name: Replication }\n  rules:']),
    other(
      ['bucket: acme-tax\n', 'bucket: acme-other\n'],
      ['  rules:', '  role: { name: replication }\n  rules:'],
    ),
  ),
  'two specs with one priority': together(
    tax(['Tax/', 'Tax/\n      priority: 7']),
    other(['Tax/', 'Ledgers/\n      priority: 7']),
  ),

  // YAML itself.
  'a tab': tax(['    bucket: acme-tax\n', '\tbucket: acme-tax\n']),
  'a duplicate key': tax(['bucket: acme-tax\n', 'bucket: acme-tax\n    bucket: acme-other\n']),
  'a merge key': tax(
    ['  source:\n', '  source: &side\n'],
    ['  destination:\n', '  destination:\n    <<: *side\n'],
  ),
  ['__proto__']: tax(['  source:\n', '  source:\n    __proto__: { bucket: x }\n']),
  'an unknown tag': tax(['prefix: Tax/', 'prefix: !!js/function "function () {}"']),
  'an alias without anchor': tax(['prefix: Tax/', 'prefix: *.csv']),
  'an anchor inside itself': tax(['metadata:\n', 'metadata: &a\n  labels: *a\n']),
  'a missing quote': tax(['prefix: Tax/', 'prefix: "Tax/']),
  'an unclosed bracket before another document': together(
    tax(['prefix: Tax/', 'prefix: [Tax/']),
    tax(['us-east-1', 'mars']),
  ),
  'a missing single quote': tax(['alias/acme-tax\n', "'alias/acme-tax\n"]),
  'a missing bracket': tax(['- prefix: Tax/', '- { prefix: Tax/']),
  'a missing colon': tax(['bucket: acme-tax\n', 'bucket acme-tax\n']),
  'a missing space': tax(['    bucket: acme-tax\n', '    bucket:acme-tax\n']),
  'two colons': tax(['bucket: acme-tax\n', 'bucket: acme: tax\n']),
  'a wrong indentation': tax(['    region: us-east-1', '   region: us-east-1']),
  'a list as a key': tax(['prefix: Tax/', '[a]: Tax/']),
  'a string that starts with a percent sign': tax(['prefix: Tax/', 'prefix: %Tax/']),
  'a string that starts with an at sign': tax(['prefix: Tax/', 'prefix: @Tax/']),
  'a backslash in double quotes': tax(['prefix: Tax/', 'prefix: "Tax\\q"']),
  'YAML 1.1': `%YAML 1.1\n---\n${TAX}`,
  'an empty file': '',
  'only comments': '# later\n',
  'only empty documents': '---\n---\n',
};
