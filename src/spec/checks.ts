import { KEY_ARN, KEY_ID, ROLE_ARN } from './names.ts';
import type { Parsed } from './parse.ts';
import { isKeyReference, longForm, ruleNames } from './resolve.ts';
import type { WrittenAccount, WrittenReplication } from './schema.ts';
import { suggest } from './suggest.ts';
import type { Position, Problem } from './types.ts';
import { problem, type Valid } from './validate.ts';

/** What the form of a single field cannot say: one function a rule, each over one spec or over all of them. */

type Replication = { written: WrittenReplication; parsed: Parsed };
type AccountSpec = { written: WrittenAccount; parsed: Parsed };
type Path = (string | number)[];

const SIDES = ['source', 'destination'] as const;

/** Check each spec by itself, then all of them together. */
export function check(valid: readonly Valid[]): Problem[] {
  const pairs = valid.filter((one) => one.kind === 'BucketReplication');
  const accounts = valid.filter((one) => one.kind === 'Account');
  return [
    ...pairs.flatMap((pair) => OF_ONE.flatMap((rule) => rule(pair))),
    ...pairs.flatMap((pair) => accountsExist(pair, accounts)),
    ...duplicates([...valid]),
    ...agreeing(pairs),
    ...priorities(pairs),
  ];
}

const OF_ONE: ((pair: Replication) => Problem[])[] = [
  keys,
  role,
  twoBuckets,
  oneAccount,
  ruleShapes,
  duplicateRules,
];

function keys({ written, parsed }: Replication): Problem[] {
  return SIDES.flatMap((side) => {
    const { key, region, account } = written.spec[side];
    const path: Path = ['spec', side, 'key'];
    const { alias, arn } = longForm(key);
    if (alias !== undefined && arn !== undefined) {
      return [
        problem(
          parsed,
          path,
          'both an alias and an ARN are given',
          'keep one: an alias is created when absent, an ARN must exist',
        ),
      ];
    }
    if (alias !== undefined) return typeof key === 'string' ? aliasProblems(parsed, path, alias) : [];
    if (arn === undefined)
      return [problem(parsed, path, 'neither an alias nor an ARN is given', 'add alias: alias/…')];
    if (!isKeyReference(arn)) {
      return [
        problem(
          parsed,
          path,
          `"${arn}" is neither an alias nor the ARN of a key`,
          'write alias/name, or arn:aws:kms:REGION:ACCOUNT:key/ID',
        ),
      ];
    }
    if (KEY_ID.test(arn) && account === undefined) {
      return [
        problem(
          parsed,
          path,
          'a bare key id does not say whose key it is',
          'write the ARN of the key, or name an account on this side',
        ),
      ];
    }
    const keyRegion = KEY_ARN.exec(arn)?.[2];
    if (keyRegion !== undefined && keyRegion !== region) {
      return [
        problem(
          parsed,
          path,
          `the key lies in ${keyRegion}, the bucket in ${region}`,
          "S3 takes keys of the bucket's own Region only",
        ),
      ];
    }
    return [];
  });
}

function aliasProblems(parsed: Parsed, path: Path, alias: string): Problem[] {
  if (alias.startsWith('alias/aws/')) {
    return [
      problem(
        parsed,
        path,
        `${alias} names a key that AWS manages`,
        'its policy cannot be changed, so it cannot serve here: declare an alias of your own',
      ),
    ];
  }
  if (alias.length > 256 || !/^alias\/[a-zA-Z0-9:/_-]+$/.test(alias)) {
    return [
      problem(
        parsed,
        path,
        `"${alias}" is not the name of an alias`,
        'an alias is alias/ and then letters, digits, /, _ and -',
      ),
    ];
  }
  return [];
}

function role({ written, parsed }: Replication): Problem[] {
  const { role } = written.spec;
  if (role?.arn === undefined) return [];
  const path: Path = ['spec', 'role'];
  if (role.name !== undefined)
    return [
      problem(
        parsed,
        path,
        'both a name and an ARN are given',
        'keep one: a name is created when absent, an ARN must exist',
      ),
    ];
  if (ROLE_ARN.test(role.arn)) return [];
  return [
    problem(
      parsed,
      [...path, 'arn'],
      `"${role.arn}" is not the ARN of a role`,
      'it looks like arn:aws:iam::111122223333:role/name',
    ),
  ];
}

function twoBuckets({ written, parsed }: Replication): Problem[] {
  const { source, destination } = written.spec;
  if (source.bucket !== destination.bucket) return [];
  return [
    problem(
      parsed,
      ['spec', 'destination', 'bucket'],
      'a bucket cannot replicate to itself',
      'name another destination',
    ),
  ];
}

function oneAccount({ written, parsed }: Replication): Problem[] {
  const { source, destination } = written.spec;
  if (source.account === destination.account) return [];
  const path: Path = ['spec', 'destination', destination.account === undefined ? 'bucket' : 'account'];
  return [
    problem(
      parsed,
      path,
      'source and destination name different accounts',
      'pairs across accounts are not supported in this version: name the same account on both sides',
    ),
  ];
}

function ruleShapes({ written, parsed }: Replication): Problem[] {
  return written.spec.rules.flatMap((rule, index) => {
    const path: Path = ['spec', 'rules', index];
    const tags = Object.keys(rule.filter?.tags ?? {}).length;
    const found: Problem[] = [];
    if (rule.prefix !== undefined && rule.filter !== undefined) {
      found.push(
        problem(
          parsed,
          [...path, 'filter'],
          'both prefix and filter are given',
          'prefix is the short form of filter.prefix: keep one',
        ),
      );
    }
    if (rule.prefix === undefined && rule.filter === undefined) {
      found.push(
        problem(
          parsed,
          path,
          'the rule does not say which objects it replicates',
          "add prefix: (prefix: '' is every object)",
        ),
      );
    }
    if (tags > 0 && rule.deleteMarkerReplication) {
      found.push(
        problem(
          parsed,
          [...path, 'deleteMarkerReplication'],
          'delete markers have no tags, so a rule that filters by tags cannot replicate them',
          'remove one of the two',
        ),
      );
    }
    if (rule.replicationTimeControl && !rule.metrics) {
      found.push(
        problem(
          parsed,
          [...path, 'metrics'],
          'replication time control needs metrics',
          'remove metrics: false',
        ),
      );
    }
    return found;
  });
}

function duplicateRules({ written, parsed }: Replication): Problem[] {
  const names = ruleNames(written.spec.rules);
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    if (first === index) return [];
    const before = parsed.positionOf(['spec', 'rules', first, 'name']);
    return [
      problem(
        parsed,
        ['spec', 'rules', index, 'name'],
        `the rule name "${name}" is already used at ${at(before)}`,
        'give each rule of a spec its own name',
      ),
    ];
  });
}

function accountsExist({ written, parsed }: Replication, accounts: readonly AccountSpec[]): Problem[] {
  const known = accounts.map((account) => account.written.metadata.name);
  return SIDES.flatMap((side) => {
    const name = written.spec[side].account;
    if (name === undefined || known.includes(name)) return [];
    const meant = suggest(name, known);
    return [
      problem(
        parsed,
        ['spec', side, 'account'],
        `there is no Account document named "${name}"`,
        meant ? `did you mean ${meant}?` : 'add one: kind: Account with metadata.name and spec.id',
      ),
    ];
  });
}

function duplicates(
  all: readonly { kind: string; written: { metadata: { name: string } }; parsed: Parsed }[],
): Problem[] {
  const seen = new Map<string, Position>();
  return all.flatMap(({ kind, written, parsed }) => {
    const path = ['metadata', 'name'];
    const key = `${kind} "${written.metadata.name}"`;
    const before = seen.get(key);
    seen.set(key, before ?? parsed.positionOf(path));
    return before
      ? [
          problem(
            parsed,
            path,
            `${key} is already declared at ${at(before)}`,
            'names are unique: rename one of the two',
          ),
        ]
      : [];
  });
}

/** What several specs say of one thing must agree. */
function agreeing(pairs: readonly Replication[]): Problem[] {
  const claims = new Map<string, { value: string; position: Position }>();
  const found: Problem[] = [];
  const claim = (parsed: Parsed, path: Path, thing: string, value: string | undefined) => {
    const before = claims.get(thing);
    if (!before) claims.set(thing, { value: value ?? 'not said', position: parsed.positionOf(path) });
    else if (before.value !== (value ?? 'not said')) {
      found.push(
        problem(
          parsed,
          path,
          `${thing} is ${value ?? 'not said'} here, but ${before.value} at ${at(before.position)}`,
          'make the two agree',
        ),
      );
    }
  };
  for (const { written, parsed } of pairs) {
    const { spec } = written;
    for (const side of SIDES) {
      const { bucket, region, account, key } = spec[side];
      const { alias, arn, rotation } = longForm(key);
      claim(parsed, ['spec', side, 'region'], `the Region of bucket ${bucket}`, region);
      claim(parsed, ['spec', side, 'account'], `the account of bucket ${bucket}`, account);
      claim(parsed, ['spec', side, 'key'], `the default key of bucket ${bucket}`, alias ?? arn);
      claim(
        parsed,
        ['spec', side, 'key'],
        `the Bucket Key of bucket ${bucket}`,
        String(typeof key === 'string' ? true : key.bucketKey),
      );
      if (alias !== undefined) {
        const where = [account, region].filter(Boolean).join('/');
        claim(
          parsed,
          ['spec', side, 'key'],
          `the rotation of ${alias} in ${where}`,
          rotation === undefined ? undefined : String(rotation),
        );
      }
    }
    claim(
      parsed,
      ['spec', 'role'],
      `the role of source bucket ${spec.source.bucket}`,
      spec.role?.arn ?? spec.role?.name,
    );
  }
  return found;
}

/** Priorities are unique in the one configuration of a source bucket, whichever spec declares them. */
function priorities(pairs: readonly Replication[]): Problem[] {
  const taken = new Map<string, Position>();
  return pairs.flatMap(({ written, parsed }) =>
    written.spec.rules.flatMap(({ priority }, index) => {
      if (priority === undefined) return [];
      const path: Path = ['spec', 'rules', index, 'priority'];
      const key = `${written.spec.source.bucket} ${priority}`;
      const before = taken.get(key);
      taken.set(key, before ?? parsed.positionOf(path));
      if (!before) return [];
      return [
        problem(
          parsed,
          path,
          `priority ${priority} is already used at ${at(before)}`,
          `priorities are unique among the rules of ${written.spec.source.bucket}: choose another, or leave it out`,
        ),
      ];
    }),
  );
}

const at = ({ file, line, column }: Position): string => `${file}:${line}:${column}`;
