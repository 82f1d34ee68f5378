import { fromIni, fromNodeProviderChain, fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import { doesIdentityRequireRefresh, memoizeIdentityProvider } from '@smithy/core';
import {
  loadConfig,
  NODE_REGION_CONFIG_FILE_OPTIONS,
  NODE_REGION_CONFIG_OPTIONS,
  parseKnownFiles,
} from '@smithy/core/config';
import type { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Account } from '../spec/types.ts';
import { globalRegionOf } from '../util/arn.ts';
import { shellQuote } from '../util/escape.ts';
import { CredentialsError, classifyError } from './errors.ts';

/** The options that an SDK client passes to a provider. */
interface CallerIdentity {
  callerClientConfig?: { region?(): Promise<string> };
  forceRefresh?: boolean;
}

interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

type Provider = (identity?: CallerIdentity) => Promise<Credentials>;

/** A provider that loads once, also for concurrent calls, and again 5 minutes before the credentials expire. */
type MemoizedProvider = Provider & { memoized: true };

/**
 * Returns a function that returns the credential provider of an account; without an account, of the ambient credentials.
 * All SDK clients share the providers, so that a role is assumed once and `credential_process` runs once. Accounts with
 * the same profile share its provider.
 */
export function createCredentialProviders(
  requestHandler: NodeHttpHandler,
): (account: Pick<Account, 'name' | 'profile' | 'assumeRole'> | undefined) => MemoizedProvider {
  // The AWS client retries, within its own time limit.
  const clientConfig = { requestHandler, maxAttempts: 1 };
  const providers = new Map<string, MemoizedProvider>();
  const shared = (key: unknown, create: () => MemoizedProvider): MemoizedProvider => {
    const name = JSON.stringify(key);
    const provider = providers.get(name) ?? create();
    providers.set(name, provider);
    return provider;
  };
  const baseProvider = (profile: string | undefined): MemoizedProvider =>
    shared([profile], () =>
      memoize(async (identity) => {
        const source = await findSource(profile);
        try {
          return await loadBaseCredentials(source, clientConfig, identity);
        } catch (error) {
          throw toCredentialsError(error, source);
        }
      }),
    );
  return (account) => {
    const { assumeRole } = account ?? {};
    if (!assumeRole) return baseProvider(account?.profile);
    const base = baseProvider(undefined);
    return shared([assumeRole], () => memoize(assumeRoleProvider(assumeRole, base, account, clientConfig)));
  };
}

/** Credentials are loaded again this long before they expire, in milliseconds, as in the SDK. */
const REFRESH_BEFORE_MS = 5 * 60_000;

/** Minimum time between two loads of credentials that are still valid, in milliseconds. */
const MIN_REFRESH_INTERVAL_MS = 60_000;

/** In the last seconds, a request could arrive after the credentials have expired. */
const MIN_VALIDITY_MS = 10_000;

function memoize(load: Provider): MemoizedProvider {
  let loadedAtMs = Number.NEGATIVE_INFINITY;
  const loadAndRecord: Provider = async (identity) => {
    const credentials = await load(identity);
    loadedAtMs = Date.now();
    return credentials;
  };
  // A program may return cached credentials that expire soon. Without the interval it would run for each call.
  const isExpired = ({ expiration }: { expiration?: Date }): boolean => {
    const remainingMs = (expiration?.getTime() ?? Number.POSITIVE_INFINITY) - Date.now();
    const mayRefresh = Date.now() - loadedAtMs >= MIN_REFRESH_INTERVAL_MS;
    return remainingMs < MIN_VALIDITY_MS || (remainingMs < REFRESH_BEFORE_MS && mayRefresh);
  };
  const provider = memoizeIdentityProvider(loadAndRecord as never, isExpired, doesIdentityRequireRefresh);
  return Object.assign(provider as unknown as Provider, { memoized: true as const });
}

interface ClientConfig {
  requestHandler: NodeHttpHandler;
  maxAttempts: number;
}

/** Loads credentials that need no role of an Account document. */
async function loadBaseCredentials(
  source: CredentialSource,
  clientConfig: ClientConfig,
  identity: CallerIdentity | undefined,
): Promise<Credentials> {
  const { AWS_REGION: region } = process.env;
  const options = {
    clientConfig,
    // A profile without a Region assumes its role in the Region of the environment, not in that of the first call.
    ...(region ? { parentClientConfig: { region: async () => region } } : {}),
    ignoreCache: true,
  };
  const provider =
    source.profile === undefined
      ? fromNodeProviderChain(options)
      : fromIni({ ...options, profile: source.profile });
  return provider(identity as never);
}

/** The session name of an assumed role, if its Account document gives none. CloudTrail records it. */
const DEFAULT_SESSION_NAME = 'replikey';

/** Returns a provider that assumes the role of an Account document with the ambient credentials. */
function assumeRoleProvider(
  { arn, externalId, sessionName }: NonNullable<Account['assumeRole']>,
  base: MemoizedProvider,
  account: Pick<Account, 'name'> | undefined,
  clientConfig: ClientConfig,
): Provider {
  let provider: Provider | undefined;
  return async (identity) => {
    // The base provider describes its own failures.
    await base(identity);
    provider ??= fromTemporaryCredentials({
      masterCredentials: base as never,
      clientConfig: {
        ...clientConfig,
        // The Region of the first call may not be enabled, and STS there would refuse the base credentials.
        region: async () =>
          (await configuredRegion()) ??
          globalRegionOf((await identity?.callerClientConfig?.region?.()) ?? 'us-east-1'),
      },
      params: {
        RoleArn: arn,
        RoleSessionName: sessionName ?? DEFAULT_SESSION_NAME,
        ...(externalId === undefined ? {} : { ExternalId: externalId }),
      },
    }) as unknown as Provider;
    try {
      return await provider(identity);
    } catch (error) {
      const source: CredentialSource = {
        name: `the credentials of account ${account?.name} (role ${arn})`,
        type: 'role',
        chain: [],
      };
      throw toCredentialsError(error, source);
    }
  };
}

/** Returns the Region of the environment, or of the ambient profile. The SDK's own setting throws when there is none. */
const configuredRegion = (): Promise<string | undefined> =>
  loadConfig<string | undefined>(
    { ...NODE_REGION_CONFIG_OPTIONS, default: () => undefined } as never,
    NODE_REGION_CONFIG_FILE_OPTIONS,
  )();

/** What loads credentials, for messages. */
interface CredentialSource {
  /** `the credentials of profile "prod" (AWS_PROFILE)` */
  name: string;
  /** The profile to load; absent: the sources of the SDK other than profiles. */
  profile?: string;
  /** The last profile of a chain of `source_profile` decides: it holds the credentials that the others build on. */
  type: 'missing' | 'empty' | 'sso' | 'login' | 'process' | 'static' | 'web identity' | 'role' | 'ambient';
  /** The profiles from the first to the last of the chain. */
  chain: string[];
}

type Profiles = Awaited<ReturnType<typeof parseKnownFiles>>;

/** Returns the source of an account with a profile, or that of the ambient credentials. */
async function findSource(profile: string | undefined): Promise<CredentialSource> {
  const profiles = await parseKnownFiles({ ignoreCache: true });
  if (profile !== undefined)
    return profileSource(profile, `the credentials of profile "${profile}"`, profiles);
  const { AWS_PROFILE: ambientProfile, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
  const ambient: CredentialSource = { name: 'the ambient credentials', type: 'ambient', chain: [] };
  if (!ambientProfile && AWS_ACCESS_KEY_ID && AWS_SECRET_ACCESS_KEY) return ambient;
  const source = ambientProfile
    ? profileSource(ambientProfile, `the credentials of profile "${ambientProfile}" (AWS_PROFILE)`, profiles)
    : profileSource('default', 'the credentials of profile "default"', profiles);
  // A profile may contain settings alone. The SDK goes on after each error of a profile; the AWS CLI does not.
  const isEmpty = source.chain.length === 1 && source.type === 'empty';
  return isEmpty || (!ambientProfile && source.chain.length === 1 && source.type === 'missing')
    ? ambient
    : source;
}

function profileSource(profile: string, name: string, profiles: Profiles): CredentialSource {
  const chain = [profile];
  let last = profile;
  for (;;) {
    const { role_arn, source_profile } = profiles[last] ?? {};
    // A profile may name itself, to assume its role with its own keys.
    if (!role_arn || !source_profile || chain.includes(source_profile)) break;
    chain.push(source_profile);
    last = source_profile;
  }
  return { name, profile, type: profileType(profiles[last]), chain };
}

function profileType(profile: Profiles[string] | undefined): CredentialSource['type'] {
  if (!profile) return 'missing';
  if (profile.aws_access_key_id) return 'static';
  if (profile.web_identity_token_file) return 'web identity';
  if (profile.role_arn) return 'role';
  if (profile.credential_process) return 'process';
  if (Object.keys(profile).some((key) => key.startsWith('sso_'))) return 'sso';
  return profile.login_session ? 'login' : 'empty';
}

/** Returns an error that names the source, the provider's cause and what to do. It contains no secrets. */
function toCredentialsError(error: unknown, source: CredentialSource): CredentialsError {
  const cause = error instanceof Error ? error : new Error(String(error));
  const errorClass = classifyError(cause);
  const isTransient = errorClass === 'transient' || errorClass === 'throttle';
  const hint = isTransient ? undefined : hintFor(cause, source);
  const reason = causeText(cause, source);
  return new CredentialsError(
    `cannot load ${source.name}: ${reason}${hint === undefined ? '' : `; ${hint}`}`,
    { cause },
  );
}

/** In characters. */
const MAX_CAUSE_LENGTH = 500;

/** Returns the provider's message, without the secrets that the output of a program may contain. */
function causeText(error: Error, { type, chain }: CredentialSource): string {
  const last = chain.at(-1);
  if (type === 'missing') return `profile "${last}" is not defined${referrer(chain)}`;
  if (type === 'empty') return `profile "${last}" contains no credentials${referrer(chain)}`;
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number; requestId?: string } };
  // Node puts the command, which may contain secrets, before the standard error of the program.
  const output = /^Command failed: [^\n]*\n?(.*)$/s.exec(error.message);
  const text = output
    ? `credential_process failed${output[1]?.trim() ? `: ${output[1]}` : ' without a message'}`
    : error.message.replace(/\s*To refresh this SSO session run .*$/s, '');
  const isNamed = !['Error', 'CredentialsProviderError', 'TokenProviderError'].includes(error.name);
  const prefix = isNamed && !text.startsWith(error.name) ? `${error.name}: ` : '';
  const requestId = $metadata?.requestId ? `, request ${$metadata.requestId}` : '';
  return `${prefix}${redactSecrets(text)}${requestId}`;
}

const referrer = (chain: readonly string[]): string =>
  chain.length > 1 ? ` (source_profile of profile "${chain.at(-2)}")` : '';

/** Hides what looks like a secret key or a token, on one line. */
function redactSecrets(text: string): string {
  const redacted = text
    .trim()
    .replace(/\s+/g, ' ')
    .replace(/((?:secret|token|password)\w*["']?\s*[:=]\s*["']?)[^\s"',}]+/gi, '$1***')
    .replace(/\beyJ[\w-]+\.[\w.-]+/g, '***')
    .replace(/[A-Za-z0-9+/]{40,}={0,2}/g, '***')
    .replace(/\.$/, '');
  return redacted.length <= MAX_CAUSE_LENGTH ? redacted : `${redacted.slice(0, MAX_CAUSE_LENGTH)}…`;
}

/** Returns what the user can do about a failure. */
function hintFor(error: Error, { name, type, chain }: CredentialSource): string {
  const { message } = error;
  const last = chain.at(-1) ?? 'default';
  const isAws =
    (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== undefined;
  if (/multi-factor authentication/.test(message))
    return `replikey cannot ask for a code: run eval "$(aws configure export-credentials --profile ${shellQuote(chain[0] ?? last)} --format env)", and use the ambient credentials`;
  if (/cycle/.test(message)) return 'correct source_profile in these profiles';
  if (/sts:AssumeRole/.test(message) && /not authorized/.test(message))
    return 'allow sts:AssumeRole on the role to the caller, and allow the caller in the trust policy of the role';
  if (type === 'sso') return ssoHint(message, last);
  if (isAws && classifyError(error) === 'credentials')
    return chain.length === 0
      ? 'renew the credentials that assume it'
      : `renew the credentials of profile "${last}"`;
  switch (type) {
    case 'missing':
      return `define it in ${configFiles()}, or correct ${name.includes('AWS_PROFILE') && chain.length === 1 ? 'AWS_PROFILE' : 'its name'}`;
    case 'empty':
      return `run aws configure --profile ${shellQuote(last)}`;
    case 'login':
      return `run aws login --profile ${shellQuote(last)}`;
    case 'process':
      return `run the command of credential_process in profile "${last}": it must print credentials as JSON with "Version": 1`;
    case 'web identity':
      return 'check web_identity_token_file and role_arn';
    case 'ambient':
      return ambientHint(message);
    default:
      return `check ${chain.length === 0 ? 'assumeRole in the Account document' : `profile "${last}" in ${configFiles()}`}`;
  }
}

function ambientHint(message: string): string {
  if (/any providers/.test(message))
    return 'set AWS_PROFILE or the AWS_* variables, or declare an Account document';
  if (/AssumeRoleWithWebIdentity/.test(message))
    return 'allow this identity in the trust policy of the role that AWS_ROLE_ARN names';
  return 'check the AWS_* variables';
}

function ssoHint(message: string, profile: string): string {
  if (/forbidden|no access/i.test(message))
    return `check sso_account_id and sso_role_name of profile "${profile}"`;
  if (/parameters|properties|property|could not be found|incomplete|conflicting/i.test(message))
    return `run aws configure sso --profile ${shellQuote(profile)}`;
  return `run aws sso login --profile ${shellQuote(profile)}`;
}

const configFiles = (): string => {
  const { AWS_CONFIG_FILE = '~/.aws/config', AWS_SHARED_CREDENTIALS_FILE = '~/.aws/credentials' } =
    process.env;
  return `${AWS_CONFIG_FILE} or ${AWS_SHARED_CREDENTIALS_FILE}`;
};
