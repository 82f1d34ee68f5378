import type { Path } from '../document.ts';
import { KEY_ARN_FORMAT, KEY_ID_FORMAT } from '../patterns.ts';
import { toLongForm } from '../resolve.ts';
import type { KeyDeclaration } from '../schema.ts';
import type { CheckedReplication } from '../validate.ts';
import { type AccountsByName, type CheckFailure, type PairCheck, SIDES } from './pairs.ts';

/** Checks of declared keys. */
export const keyChecks: readonly PairCheck[] = [
  checkKeyAliasOrArn,
  checkKeyIdAccount,
  checkKeyRegion,
  checkKeyArnSettings,
  checkBucketKeyEncryption,
  checkRotationPeriod,
  checkSourceKeysUnique,
  checkUnmanagedAccountKey,
];

/** Returns every key of a spec, with its side and path. */
export function declaredKeysOf({ content: { spec } }: CheckedReplication) {
  return [
    ...SIDES.map((side) => ({ side, key: spec[side].key, path: ['spec', side, 'key'] as Path })),
    ...spec.sourceKeys.map((key, index) => ({
      side: 'source' as const,
      key,
      path: ['spec', 'sourceKeys', index] as Path,
    })),
  ];
}

/** Returns the path of the ARN, for the short and the long form of a key. */
const arnPathOf = (key: KeyDeclaration, path: Path): Path =>
  typeof key === 'string' ? path : [...path, 'arn'];

function checkKeyAliasOrArn(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ key, path }): CheckFailure[] => {
    const { alias, arn } = toLongForm(key);
    if (alias !== undefined && arn !== undefined) {
      const hint = 'keep one: an alias is created when absent, an ARN must exist';
      return [[path, 'both an alias and an ARN are given', hint]];
    }
    if (alias !== undefined || arn !== undefined) return [];
    return [[path, 'neither an alias nor an ARN is given', 'add alias: alias/my-key']];
  });
}

function checkKeyArnSettings(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ key, path }): CheckFailure[] => {
    const { alias, arn, ...settings } = toLongForm(key);
    if (arn === undefined || alias !== undefined) return [];
    return (['description', 'rotation', 'rotationPeriodInDays'] as const)
      .filter((name) => settings[name] !== undefined)
      .map((name) => {
        const hint = `remove ${name}, or declare the key by its alias`;
        return [[...path, name], 'a key that is given by ARN is never altered', hint];
      });
  });
}

function checkKeyIdAccount(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ side, key, path }): CheckFailure[] => {
    const { arn } = toLongForm(key);
    if (arn === undefined || pair.content.spec[side].account !== undefined || !KEY_ID_FORMAT.test(arn))
      return [];
    const hint = 'write the ARN of the key, or name an account on this side';
    const message = 'a bare key id does not say whose key it is';
    return [[arnPathOf(key, path), message, hint, ['spec', side, 'account']]];
  });
}

function checkKeyRegion(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ side, key, path }): CheckFailure[] => {
    const { region } = pair.content.spec[side];
    const [, , keyRegion] = KEY_ARN_FORMAT.exec(toLongForm(key).arn ?? '') ?? [];
    if (keyRegion === undefined || keyRegion === region) return [];
    const message = `the key lies in ${keyRegion}, but the bucket in ${region}`;
    const hint = "S3 takes keys of the bucket's own Region only";
    return [[arnPathOf(key, path), message, hint, ['spec', side, 'region']]];
  });
}

function checkBucketKeyEncryption({ content: { spec } }: CheckedReplication): CheckFailure[] {
  return SIDES.flatMap((side): CheckFailure[] => {
    const { key, defaultEncryption } = spec[side];
    if (!toLongForm(key).bucketKey || defaultEncryption === 'SSE-KMS') return [];
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

function checkRotationPeriod(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ key, path }): CheckFailure[] => {
    const { rotation, rotationPeriodInDays } = toLongForm(key);
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

function checkSourceKeysUnique({ content: { spec } }: CheckedReplication): CheckFailure[] {
  const earlierKeys = [toLongForm(spec.source.key)];
  return spec.sourceKeys.flatMap((declaration, index): CheckFailure[] => {
    const key = toLongForm(declaration);
    const isDuplicate = earlierKeys.some(
      (earlier) => (earlier.alias ?? earlier.arn) === (key.alias ?? key.arn),
    );
    earlierKeys.push(key);
    const hint = 'the key of the source need not be repeated here: remove it';
    return isDuplicate
      ? [[['spec', 'sourceKeys', index], 'this key is declared already', hint, ['spec', 'source', 'key']]]
      : [];
  });
}

function checkUnmanagedAccountKey(pair: CheckedReplication, accounts: AccountsByName): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ side, key, path }): CheckFailure[] => {
    const { account } = pair.content.spec[side];
    if (toLongForm(key).alias === undefined || (accounts.get(account ?? '')?.managed ?? true)) return [];
    const message = `the account ${account} is not managed, and an alias can only be looked up in it`;
    return [[path, message, 'write the ARN of the key', ['spec', side, 'account']]];
  });
}
