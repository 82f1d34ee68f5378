import { formatPath, type Path } from '../document.ts';
import { KEY_ARN_FORMAT, KEY_ID_FORMAT, RELATED_KEY } from '../patterns.ts';
import { toLongForm } from '../resolve.ts';
import type { KeyDeclaration } from '../schema.ts';
import type { CheckedReplication } from '../validate.ts';
import { type AccountsByName, type CheckFailure, type PairCheck, partitionFailures, SIDES } from './pairs.ts';

/** Checks of declared keys. */
export const keyChecks: readonly PairCheck[] = [
  checkKeyAliasOrArn,
  checkKeyIdAccount,
  checkKeyRegion,
  checkKeyArnSettings,
  checkBucketKeyEncryption,
  checkRotationPeriod,
  checkRelatedKey,
  checkKeysUnique,
  checkReplacedKeyAccount,
  checkUnmanagedAccountKey,
];

/** Returns every key of a spec, with its side and path. */
export function declaredKeysOf({ content: { spec } }: CheckedReplication): {
  side: (typeof SIDES)[number];
  key: KeyDeclaration;
  path: Path;
}[] {
  return [
    ...SIDES.map((side) => ({ side, key: spec[side].key, path: ['spec', side, 'key'] })),
    ...spec.sourceKeys.map((key, index) => ({
      side: 'source' as const,
      key,
      path: ['spec', 'sourceKeys', index],
    })),
    ...SIDES.flatMap((side) => replacedKeysOf(spec, side)),
  ];
}

const replacedKeysOf = (spec: CheckedReplication['content']['spec'], side: (typeof SIDES)[number]) =>
  (toLongForm(spec[side].key).replaces ?? []).map((key, index) => ({
    side,
    key,
    path: ['spec', side, 'key', 'replaces', index] as Path,
  }));

/** Returns the path of the ARN, for the short and the long form of a key. */
const arnPathOf = (key: KeyDeclaration, path: Path): Path =>
  typeof key === 'string' ? path : [...path, 'arn'];

function checkKeyAliasOrArn(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ key, path }): CheckFailure[] => {
    const { alias, arn } = toLongForm(key);
    if (alias !== undefined && arn !== undefined) {
      const hint = 'keep one; replikey creates an alias when absent, and a key given by ARN must exist';
      return [[path, 'alias and arn are both set', hint]];
    }
    if (alias !== undefined || arn !== undefined) return [];
    return [[path, 'the key has neither alias nor arn', 'add alias: alias/my-key']];
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
        return [[...path, name], 'replikey never changes a key that is given by ARN', hint];
      });
  });
}

function checkKeyIdAccount(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ side, key, path }): CheckFailure[] => {
    const { arn } = toLongForm(key);
    if (arn === undefined || pair.content.spec[side].account !== undefined || !KEY_ID_FORMAT.test(arn))
      return [];
    const hint = 'write the ARN of the key, or set account on this side';
    const message = 'a key id does not identify the account of the key';
    return [[arnPathOf(key, path), message, hint, ['spec', side, 'account']]];
  });
}

function checkKeyRegion(pair: CheckedReplication): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ side, key, path }): CheckFailure[] => {
    const { region } = pair.content.spec[side];
    const [, , keyRegion] = KEY_ARN_FORMAT.exec(toLongForm(key).arn ?? '') ?? [];
    if (keyRegion === undefined || keyRegion === region)
      return partitionFailures(arnPathOf(key, path), toLongForm(key).arn, side, region);
    const message = `the key is in ${keyRegion}, but its bucket is in ${region}`;
    const hint = 'use a key in the Region of the bucket; S3 accepts no other';
    return [[arnPathOf(key, path), message, hint, ['spec', side, 'region']]];
  });
}

function checkBucketKeyEncryption({ content: { spec } }: CheckedReplication): CheckFailure[] {
  return SIDES.flatMap((side): CheckFailure[] => {
    const { key, defaultEncryption } = spec[side];
    if (!toLongForm(key).bucketKey || defaultEncryption === 'SSE-KMS') return [];
    const message = `an S3 Bucket Key requires SSE-KMS, but defaultEncryption is ${defaultEncryption}`;
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
    const message = 'rotationPeriodInDays requires rotation';
    return [
      [[...path, 'rotationPeriodInDays'], message, 'remove it, or set rotation: true', [...path, 'rotation']],
    ];
  });
}

/**
 * Refuses `related` unless every source key is a multi-Region key by ARN or id. Only then the keys of the replicas are
 * known, and the role can be permitted to use them.
 */
function checkRelatedKey(pair: CheckedReplication): CheckFailure[] {
  const { source, destination } = pair.content.spec;
  if (toLongForm(destination.key).arn !== RELATED_KEY) return [];
  const path = arnPathOf(destination.key, ['spec', 'destination', 'key']);
  if (source.region === destination.region) {
    const message = 'a related key is in another Region, but both buckets are in the same Region';
    return [[path, message, 'use an alias or an ARN', ['spec', 'source', 'region']]];
  }
  return declaredKeysOf(pair).flatMap(({ side, key, path: keyPath }): CheckFailure[] => {
    if (side === 'destination' || /(^|\/)mrk-/.test(toLongForm(key).arn ?? '')) return [];
    const message = 'destination.key: related requires the ARN or id of a multi-Region key here';
    return [[keyPath, message, 'write its ARN, which ends in key/mrk-…, or another destination.key', path]];
  });
}

/** Reports a key that is declared twice for one bucket: a key also replaces only others than itself. */
function checkKeysUnique(pair: CheckedReplication): CheckFailure[] {
  const pathsByKey = new Map<string, Path>();
  return declaredKeysOf(pair).flatMap(({ side, key, path }): CheckFailure[] => {
    const { alias, arn } = toLongForm(key);
    // The id is unique, so it names the same key as the ARN.
    const identity = `${side} ${alias ?? KEY_ARN_FORMAT.exec(arn ?? '')?.[4] ?? arn}`;
    const earlierPath = pathsByKey.get(identity);
    if (earlierPath === undefined) pathsByKey.set(identity, path);
    if (earlierPath === undefined || (alias ?? arn) === undefined) return [];
    const isReplaced = path.includes('replaces');
    if (isReplaced && earlierPath.length === 3 && earlierPath[2] === 'key') {
      const hint = 'remove it, or declare the key that takes its place';
      return [[path, 'a key cannot replace itself', hint, earlierPath]];
    }
    const hint = `remove it; ${formatPath(earlierPath)} is the same key`;
    return [[path, 'duplicate KMS key', hint, earlierPath]];
  });
}

/** A key of another account can encrypt objects of the source, but S3 re-encrypts none of them. */
function checkReplacedKeyAccount(
  { content: { spec } }: CheckedReplication,
  accounts: AccountsByName,
): CheckFailure[] {
  return SIDES.flatMap((side): CheckFailure[] => {
    const accountId = accounts.get(spec[side].account ?? '')?.id;
    return replacedKeysOf(spec, side).flatMap(({ key, path }): CheckFailure[] => {
      const [, , , keyAccount] = KEY_ARN_FORMAT.exec(key) ?? [];
      if (accountId === undefined || keyAccount === undefined || keyAccount === accountId) return [];
      const message = `the key belongs to account ${keyAccount}, but its bucket to account ${accountId}`;
      const hint =
        side === 'source'
          ? 'declare it in sourceKeys, which keeps it permitted'
          : `use a key of account ${accountId}`;
      return [[path, message, hint, ['spec', side, 'account']]];
    });
  });
}

function checkUnmanagedAccountKey(pair: CheckedReplication, accounts: AccountsByName): CheckFailure[] {
  return declaredKeysOf(pair).flatMap(({ side, key, path }): CheckFailure[] => {
    const { account } = pair.content.spec[side];
    if (toLongForm(key).alias === undefined || (accounts.get(account ?? '')?.managed ?? true)) return [];
    const message = `replikey cannot look up an alias in the unmanaged account ${account}`;
    return [[path, message, 'write the ARN of the key', ['spec', side, 'account']]];
  });
}
