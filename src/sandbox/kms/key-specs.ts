import {
  type EncryptionAlgorithmSpec,
  GrantOperation,
  type KeySpec,
  type KeyUsageType,
  type MacAlgorithmSpec,
  type SigningAlgorithmSpec,
} from '@aws-sdk/client-kms';

/** Key usages of a key spec (KMS API Reference, CreateKey, KeyUsage). */
const USAGES_BY_SPEC: [spec: RegExp, usages: KeyUsageType[]][] = [
  [/^SYMMETRIC_DEFAULT$/, ['ENCRYPT_DECRYPT']],
  [/^RSA_/, ['ENCRYPT_DECRYPT', 'SIGN_VERIFY']],
  [/^ECC_NIST_P/, ['SIGN_VERIFY', 'KEY_AGREEMENT']],
  [/^(ECC_SECG_|ECC_NIST_EDWARDS|ML_DSA_)/, ['SIGN_VERIFY']],
  [/^HMAC_/, ['GENERATE_VERIFY_MAC']],
  [/^ML_KEM_/, ['ENCAPSULATE_DECAPSULATE']],
  [/^SM2$/, ['ENCRYPT_DECRYPT', 'SIGN_VERIFY', 'KEY_AGREEMENT']],
];

export const usagesOfSpec = (spec: string): string[] =>
  USAGES_BY_SPEC.find(([pattern]) => pattern.test(spec))?.[1] ?? [];

/** Returns the members of KeyMetadata that list the algorithms of a key. */
export function algorithmsOf(spec: string, usage: string): Record<string, string[]> {
  if (usage === 'ENCRYPT_DECRYPT') return { EncryptionAlgorithms: encryptionAlgorithmsOf(spec) };
  if (usage === 'SIGN_VERIFY') return { SigningAlgorithms: signingAlgorithmsOf(spec) };
  if (usage === 'KEY_AGREEMENT') return { KeyAgreementAlgorithms: ['ECDH'] };
  if (usage === 'GENERATE_VERIFY_MAC')
    return { MacAlgorithms: [`HMAC_SHA_${spec.slice(5)}` satisfies string as MacAlgorithmSpec] };
  return {};
}

function encryptionAlgorithmsOf(spec: string): EncryptionAlgorithmSpec[] {
  if (spec === 'SYMMETRIC_DEFAULT') return ['SYMMETRIC_DEFAULT'];
  return spec === 'SM2' ? ['SM2PKE'] : ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'];
}

const ECC_SIGNING_ALGORITHMS: Partial<Record<KeySpec, SigningAlgorithmSpec[]>> = {
  ECC_NIST_P256: ['ECDSA_SHA_256'],
  ECC_NIST_P384: ['ECDSA_SHA_384'],
  ECC_NIST_P521: ['ECDSA_SHA_512'],
  ECC_SECG_P256K1: ['ECDSA_SHA_256'],
  SM2: ['SM2DSA'],
};

function signingAlgorithmsOf(spec: string): string[] {
  if (!spec.startsWith('RSA_')) return ECC_SIGNING_ALGORITHMS[spec as KeySpec] ?? [];
  return ['RSASSA_PKCS1_V1_5', 'RSASSA_PSS'].flatMap((scheme) =>
    ['SHA_256', 'SHA_384', 'SHA_512'].map((hash) => `${scheme}_${hash}`),
  );
}

const COMMON_GRANT_OPERATIONS: GrantOperation[] = ['CreateGrant', 'DescribeKey', 'RetireGrant'];

/** Cryptographic operations that a grant on a key can allow, by key usage (KMS Developer Guide, "Grants in AWS KMS"). */
const GRANT_OPERATIONS_BY_USAGE: Record<string, GrantOperation[]> = {
  ENCRYPT_DECRYPT: ['Encrypt', 'Decrypt', 'ReEncryptFrom', 'ReEncryptTo'],
  SIGN_VERIFY: ['Sign', 'Verify'],
  GENERATE_VERIFY_MAC: ['GenerateMac', 'VerifyMac'],
  KEY_AGREEMENT: ['DeriveSharedSecret'],
  ENCAPSULATE_DECAPSULATE: ['Encapsulate', 'Decapsulate'],
};

export const GRANT_OPERATIONS: readonly string[] = Object.values(GrantOperation);

/** Returns the operations that a grant on a key of this spec and usage can allow. */
export function grantOperationsOf(spec: string, usage: string): readonly string[] {
  const own = GRANT_OPERATIONS_BY_USAGE[usage] ?? [];
  if (spec === 'SYMMETRIC_DEFAULT')
    return [
      ...COMMON_GRANT_OPERATIONS,
      ...own,
      ...GRANT_OPERATIONS.filter((name) => name.startsWith('GenerateDataKey')),
    ];
  return [...COMMON_GRANT_OPERATIONS, ...own, ...(usage === 'GENERATE_VERIFY_MAC' ? [] : ['GetPublicKey'])];
}
