import { accountOfArn } from '../iam/context.ts';
import { partitionOfRegion, regionOfArn } from '../util/arn.ts';
import type { Stack, StackLocation } from './stack.ts';
import {
  type AttributePath,
  attributeOf,
  readValue,
  type TerraformDocument,
  type TerraformResource,
} from './terraform-document.ts';
import { type Reference, type References, referencesOf } from './terraform-references.ts';
import { isRecord, isUnknown, listOf, textOf, Unknown } from './unknown.ts';

/** A document with what its resources share: references, accounts and Regions. */
export interface TerraformContext {
  document: TerraformDocument;
  references: References;
  stack: Stack;
  /** Resources by type. */
  managed(...types: string[]): TerraformResource[];
  data(type: string): TerraformResource[];
  /** Resources of a type before the plan, of those that it deletes or changes. */
  previous(type: string): TerraformResource[];
  /** Records the account of a bucket. Other buckets with the same owner are in the same account. */
  setAccount(resource: TerraformResource, account: string): void;
  /** Returns the owner and Region of a resource; `Unknown` if the Region is not known. */
  locationOf(resource: TerraformResource, hints?: LocationHints): StackLocation | Unknown;
  /**
   * Returns the only resource of some types to which an attribute refers; `Unknown` if there is none, or if there are
   * several.
   */
  referenceAt(
    resource: TerraformResource,
    path: AttributePath,
    types: readonly string[],
  ): Reference | Unknown;
  /**
   * Returns all resources of some types to which an attribute refers; none if the attribute also refers to a value that
   * is not in the plan.
   */
  referencesAt(resource: TerraformResource, path: AttributePath, types: readonly string[]): Reference[];
}

/** What other documents say about the account of a bucket, whose ARN contains none. */
export interface LocationHints {
  account?: string | undefined;
}

interface ProviderFacts {
  /** Providers with the same credentials have one account. */
  credentials: ProviderCredentials;
  region?: string | undefined;
}

interface ProviderCredentials {
  account?: string | undefined;
  /** The first provider configuration that has them, for messages. */
  provider: string;
}

export function createTerraformContext(document: TerraformDocument, stack: Stack): TerraformContext {
  const references = referencesOf(document);
  const byType = groupBy(document.resources, ({ mode, type }) => `${mode} ${type}`);
  const previousByType = groupBy(document.previous, ({ type }) => type);
  const providers = new Map<string, ProviderFacts>();
  const credentialsByArguments = new Map<string, ProviderCredentials>();
  const providerFacts = (key: string): ProviderFacts => {
    const existing = providers.get(key);
    if (existing) return existing;
    const argumentsText = JSON.stringify(
      CREDENTIAL_ARGUMENTS.map((argument) => references.providerArgumentOrReferences(key, argument)),
    );
    const credentials = credentialsByArguments.get(argumentsText) ?? {
      provider: key,
      account: configuredAccount(references, key),
    };
    credentialsByArguments.set(argumentsText, credentials);
    const facts = { credentials, region: textOf(references.providerArgument(key, ['region'])) };
    providers.set(key, facts);
    return facts;
  };
  for (const resource of document.resources) {
    const key = references.providerOf(resource);
    if (key === undefined) continue;
    const facts = providerFacts(key);
    // A provider can look up a key of another account.
    if (typeName(resource) !== 'data.aws_kms_key') facts.credentials.account ??= ownAccountOf(resource);
    facts.region ??= ownRegionOf(resource);
  }
  // A state names no providers: all of its resources may belong to one account, or to several.
  const accountsOfOwners = new Map<string, string>();
  for (const resource of document.resources) {
    const key = references.providerOf(resource);
    const account = key === undefined ? undefined : providerFacts(key).credentials.account;
    const owner = canonicalOwnerOf(resource);
    if (owner !== undefined && account !== undefined) accountsOfOwners.set(owner, account);
  }
  const accountLabels = new Map<string, string>();
  const usedAccounts = new Set(JSON.stringify(document.resources).match(/\b\d{12}\b/g));
  /** `owner`: the canonical user id, which buckets of one account have in common. */
  const unknownAccount = (owner: string | undefined, label: string): string => {
    const existing = accountLabels.get(owner ?? label);
    if (existing !== undefined) return existing;
    let number = 900_000_000_001 + accountLabels.size;
    while (usedAccounts.has(String(number))) number += 1000;
    accountLabels.set(owner ?? label, String(number));
    stack.unknownAccounts.set(String(number), `{account of ${label}}`);
    return String(number);
  };

  const referencesAt: TerraformContext['referencesAt'] = (resource, path, types) =>
    references.isResolved(resource, path)
      ? references.of(resource, path).filter((target) => types.includes(typeName(target.resource)))
      : [];

  return {
    document,
    references,
    stack,
    managed: (...types) => types.flatMap((type) => byType.get(`managed ${type}`) ?? []),
    data: (type) => byType.get(`data ${type}`) ?? [],
    previous: (type) => previousByType.get(type) ?? [],
    setAccount(resource, account) {
      const owner = canonicalOwnerOf(resource);
      if (owner !== undefined && !accountsOfOwners.has(owner)) accountsOfOwners.set(owner, account);
    },
    locationOf(resource, hints = {}) {
      const key = references.providerOf(resource);
      const provider = key === undefined ? undefined : providerFacts(key);
      const region =
        ownRegionOf(resource) ??
        provider?.region ??
        (resource.type.startsWith('aws_iam_') ? 'us-east-1' : undefined);
      if (region === undefined)
        return new Unknown(
          key === undefined
            ? `the Region of ${resource.address} is not in the file`
            : `the region of the provider ${key} is not a constant or variable of the plan`,
        );
      const owner = canonicalOwnerOf(resource);
      const account =
        ownAccountOf(resource) ??
        provider?.credentials.account ??
        (owner === undefined ? undefined : accountsOfOwners.get(owner)) ??
        hints.account;
      return {
        partition: partitionOfRegion(region),
        region,
        account:
          account ??
          unknownAccount(owner, provider ? `provider ${provider.credentials.provider}` : resource.address),
      };
    },
    referencesAt,
    referenceAt(resource, path, types) {
      const targets = referencesAt(resource, path, types);
      const addresses = [...new Set(targets.map((target) => target.resource.address))];
      const [target] = targets;
      if (target && addresses.length === 1) return target;
      const value = readValue(resource, path);
      return isUnknown(value)
        ? value
        : new Unknown(`${attributeOf(resource.address, path)} is not in the file`);
    },
  };
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group) group.push(value);
    else groups.set(keyOf(value), [value]);
  }
  return groups;
}

/** Returns the type of a resource as references name it: `data.aws_kms_key`. */
export const typeName = ({ mode, type }: TerraformResource): string =>
  mode === 'data' ? `data.${type}` : type;

/** Arguments of a provider configuration that select its credentials. Without any, these come from the environment. */
const CREDENTIAL_ARGUMENTS = [
  'access_key',
  'profile',
  'assume_role',
  'assume_role_with_web_identity',
  'shared_config_files',
  'shared_credentials_file',
  'shared_credentials_files',
  'allowed_account_ids',
] as const;

/** Returns the account that a provider configuration names: that of the role that it assumes, or the only one that it allows. */
function configuredAccount(references: References, provider: string): string | undefined {
  const roleArn = textOf(references.providerArgument(provider, ['assume_role', 0, 'role_arn']));
  if (roleArn !== undefined && accountOfArn(roleArn) !== '') return accountOfArn(roleArn);
  const [account, ...others] = listOf(references.providerArgument(provider, ['allowed_account_ids']));
  return others.length === 0 ? textOf(account) : undefined;
}

/** Types of data sources that describe the caller, or resources that the caller's account owns. */
const CALLER_TYPES = new Set(['data.aws_caller_identity', 'data.aws_iam_role', 'data.aws_iam_policy']);

/** Returns the account in the attributes of a resource. */
function ownAccountOf(resource: TerraformResource): string | undefined {
  if (
    resource.mode === 'data' &&
    !CALLER_TYPES.has(typeName(resource)) &&
    !resource.type.startsWith('aws_kms_')
  )
    return undefined;
  if (typeName(resource) === 'data.aws_caller_identity') return textOf(knownText(resource, 'account_id'));
  const account = accountOfArn(knownText(resource, 'arn') ?? '');
  return /^\d{12}$/.test(account) ? account : undefined;
}

function ownRegionOf(resource: TerraformResource): string | undefined {
  const region = knownText(resource, 'region') ?? '';
  if (region !== '') return region;
  if (typeName(resource) === 'data.aws_region')
    return knownText(resource, 'name') ?? knownText(resource, 'id');
  return textOf(regionOfArn(knownText(resource, 'arn') ?? ''));
}

/** Returns the canonical user id of the owner of a bucket: the only user with full control in its ACL. */
function canonicalOwnerOf(resource: TerraformResource): string | undefined {
  if (resource.type !== 'aws_s3_bucket' || resource.mode !== 'managed') return undefined;
  const grants = readValue(resource, ['grant']);
  const owners = listOf(grants).flatMap((grant) =>
    isRecord(grant) && grant.type === 'CanonicalUser' && listOf(grant.permissions).includes('FULL_CONTROL')
      ? [textOf(grant.id) ?? '']
      : [],
  );
  return owners.length === 1 ? textOf(owners[0]) : undefined;
}

/** Returns a text attribute; undefined if it is not known, or empty. */
export function knownText(resource: TerraformResource, ...path: (string | number)[]): string | undefined {
  return textOf(readValue(resource, path));
}
