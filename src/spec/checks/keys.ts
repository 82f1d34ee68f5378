import { KEY_ARN, KEY_ID } from '../names.ts';
import type { Path } from '../path.ts';
import { longForm } from '../resolve.ts';
import type { WrittenKey } from '../schema.ts';
import type { CheckedReplication } from '../validate.ts';
import { type Accounts, type Finding, type Rule, SIDES } from './finding.ts';

/** What is declared of keys. */
export const keyRules: readonly Rule[] = [
  oneKeyEach,
  keyIdHasOwner,
  keyNearBucket,
  keyByArnIsLeftAlone,
  bucketKeyFitsEncryption,
  rotationHasPeriod,
  sourceKeysDiffer,
  keyOfOthersByArn,
];

/** Every key of a spec, with the side that it serves and where it stands. */
function keysOf({ written: { spec } }: CheckedReplication) {
  return [
    ...SIDES.map((side) => ({ side, key: spec[side].key, path: ['spec', side, 'key'] as Path })),
    ...spec.sourceKeys.map((key, index) => ({
      side: 'source' as const,
      key,
      path: ['spec', 'sourceKeys', index] as Path,
    })),
  ];
}

/** The ARN itself, in the short form and in the long one. */
const arnPath = (key: WrittenKey, path: Path): Path => (typeof key === 'string' ? path : [...path, 'arn']);

function oneKeyEach(pair: CheckedReplication): Finding[] {
  return keysOf(pair).flatMap(({ key, path }): Finding[] => {
    const { alias, arn } = longForm(key);
    if (alias !== undefined && arn !== undefined) {
      const hint = 'keep one: an alias is created when absent, an ARN must exist';
      return [[path, 'both an alias and an ARN are given', hint]];
    }
    if (alias !== undefined || arn !== undefined) return [];
    return [[path, 'neither an alias nor an ARN is given', 'add alias: alias/my-key']];
  });
}

function keyByArnIsLeftAlone(pair: CheckedReplication): Finding[] {
  return keysOf(pair).flatMap(({ key, path }): Finding[] => {
    const { alias, arn, ...settings } = longForm(key);
    if (arn === undefined || alias !== undefined) return [];
    return (['description', 'rotation', 'rotationPeriodInDays'] as const)
      .filter((name) => settings[name] !== undefined)
      .map((name) => {
        const hint = `remove ${name}, or declare the key by its alias`;
        return [[...path, name], 'a key that is given by ARN is never altered', hint];
      });
  });
}

function keyIdHasOwner(pair: CheckedReplication): Finding[] {
  return keysOf(pair).flatMap(({ side, key, path }): Finding[] => {
    const { arn } = longForm(key);
    if (arn === undefined || pair.written.spec[side].account !== undefined || !KEY_ID.test(arn)) return [];
    const hint = 'write the ARN of the key, or name an account on this side';
    const message = 'a bare key id does not say whose key it is';
    return [[arnPath(key, path), message, hint, ['spec', side, 'account']]];
  });
}

function keyNearBucket(pair: CheckedReplication): Finding[] {
  return keysOf(pair).flatMap(({ side, key, path }): Finding[] => {
    const { region } = pair.written.spec[side];
    const [, , keyRegion] = KEY_ARN.exec(longForm(key).arn ?? '') ?? [];
    if (keyRegion === undefined || keyRegion === region) return [];
    const message = `the key lies in ${keyRegion}, but the bucket in ${region}`;
    const hint = "S3 takes keys of the bucket's own Region only";
    return [[arnPath(key, path), message, hint, ['spec', side, 'region']]];
  });
}

function bucketKeyFitsEncryption({ written: { spec } }: CheckedReplication): Finding[] {
  return SIDES.flatMap((side): Finding[] => {
    const { key, defaultEncryption } = spec[side];
    if (!longForm(key).bucketKey || defaultEncryption === 'SSE-KMS') return [];
    const message = `an S3 Bucket Key serves SSE-KMS, and the default encryption is ${defaultEncryption}`;
    return [
      [
        ['spec', side, 'key', 'bucketKey'],
        message,
        'remove one of the two',
        ['spec', side, 'defaultEncryption'],
      ],
    ];
  });
}

function rotationHasPeriod(pair: CheckedReplication): Finding[] {
  return keysOf(pair).flatMap(({ key, path }): Finding[] => {
    const { rotation, rotationPeriodInDays } = longForm(key);
    if (rotationPeriodInDays === undefined || rotation !== false) return [];
    const message = 'a key that does not rotate has no period';
    return [
      [
        [...path, 'rotationPeriodInDays'],
        message,
        'remove it, or write rotation: true',
        [...path, 'rotation'],
      ],
    ];
  });
}

function sourceKeysDiffer({ written: { spec } }: CheckedReplication): Finding[] {
  const seen = [longForm(spec.source.key)];
  return spec.sourceKeys.flatMap((written, index): Finding[] => {
    const key = longForm(written);
    const twice = seen.some((one) => (one.alias ?? one.arn) === (key.alias ?? key.arn));
    seen.push(key);
    const hint = 'the key of the source need not be repeated here: remove it';
    return twice
      ? [[['spec', 'sourceKeys', index], 'this key is declared already', hint, ['spec', 'source', 'key']]]
      : [];
  });
}

function keyOfOthersByArn(pair: CheckedReplication, accounts: Accounts): Finding[] {
  return keysOf(pair).flatMap(({ side, key, path }): Finding[] => {
    const { account } = pair.written.spec[side];
    if (longForm(key).alias === undefined || (accounts.get(account ?? '')?.managed ?? true)) return [];
    const message = `the account ${account} is not managed, and an alias can only be looked up in it`;
    return [[path, message, 'write the ARN of the key', ['spec', side, 'account']]];
  });
}
