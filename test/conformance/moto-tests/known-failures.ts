/** Why tests of moto fail against the sandbox. */
export const CAUSES = {
  'not implemented': 'The sandbox does not implement an operation of the test',
  'moto differs': 'Moto differs from AWS',
  'sandbox differs': 'The sandbox differs from AWS',
} as const;

export type Cause = keyof typeof CAUSES;

/** Tests that fail for one reason. */
export interface KnownFailures {
  cause: Cause;
  /** The fact and its source. For a missing operation its name, such as `kms:Sign`, which the sandbox answers with 501. */
  reason: string;
  /** Such as `test_kms/test_kms.py::test_sign_happy`, for all parameters of the test, or `…::test_sign_happy[a]`, for one. */
  tests: string[];
}

/** Returns whether a listed test is the test of that id, or, listed without parameters, has it as one of its cases. */
export const covers = (test: string, id: string): boolean => id === test || id.startsWith(`${test}[`);

const inFile = (file: string, ...names: string[]): string[] => names.map((name) => `${file}::${name}`);

/**
 * Tests that fail, with the reason. A test of the test suite fails if another one fails, or if one of these passes. A name in
 * parentheses after *recorded* is the id of a recorded response.
 */
export const knownFailures: KnownFailures[] = [
  {
    cause: 'not implemented',
    reason: 'iam:CreateInstanceProfile',
    tests: [...inFile('test_iam/test_iam.py', 'test_get_account_summary')],
  },
  {
    cause: 'not implemented',
    reason: 'iam:CreateUser',
    tests: [...inFile('test_sts/test_sts.py', 'test_get_caller_identity_with_iam_user_credentials')],
  },
  {
    cause: 'not implemented',
    reason: 'iam:DeleteServiceLinkedRole',
    tests: [...inFile('test_iam/test_iam.py', 'test_delete_service_linked_role')],
  },
  {
    cause: 'not implemented',
    reason: 'kms:GenerateMac',
    tests: [...inFile('test_kms/test_kms_mac.py', 'test_generate_fails_for_non_existent_key')],
  },
  {
    cause: 'not implemented',
    reason: 'kms:GenerateRandom',
    tests: [...inFile('test_kms/test_kms.py', 'test_generate_random')],
  },
  {
    cause: 'not implemented',
    reason: 'kms:GetPublicKey',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_get_public_key',
        'test_get_public_key_with_alias',
        'test_ensure_key_can_be_verified_manually',
      ),
    ],
  },
  {
    cause: 'not implemented',
    reason: 'kms:ListKeyRotations',
    tests: [
      ...inFile('test_kms/test_kms_key_rotation.py', 'test_list_key_rotations_with_non_existing_key_fails'),
    ],
  },
  {
    cause: 'not implemented',
    reason: 'kms:Sign',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_sign_happy',
        'test_sign_using_alias',
        'test_sign_invalid_signing_algorithm',
        'test_sign_and_verify_ignoring_grant_tokens',
        'test_sign_and_verify_digest_message_type_RSA',
        'test_fail_verify_digest_message_type_RSA',
        'test_sign_and_verify_digest_message_type_ECDSA',
        'test_invalid_signing_algorithm_for_key_spec_type_ECDSA',
        'test_fail_verify_digest_message_type_ECDSA',
        'test_sign_invalid_key_usage',
        'test_sign_invalid_message',
        'test_verify_happy',
      ),
    ],
  },
  {
    cause: 'not implemented',
    reason: 'kms:Verify',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_verify_happy_with_invalid_signature',
        'test_verify_invalid_signing_algorithm',
        'test_verify_invalid_message',
        'test_verify_empty_signature',
      ),
    ],
  },
  {
    cause: 'not implemented',
    reason: 's3:PutObjectLegalHold',
    tests: [
      ...inFile(
        'test_s3/test_s3_lock.py',
        'test_put_object_legal_hold',
        'test_put_object_legal_hold_with_versions',
      ),
    ],
  },
  {
    cause: 'not implemented',
    reason: 's3:PutObjectRetention',
    tests: [
      ...inFile('test_s3/test_s3_lock.py', 'test_put_object_lock', 'test_put_object_lock_with_versions'),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'The rule of the test has neither Filter nor Prefix. S3 refuses it with MalformedXML (recorded: stackd/v1-noprefix).',
    tests: [
      ...inFile(
        'test_s3/test_s3_replication.py',
        'test_create_replication_without_versioning',
        'test_create_and_retrieve_replication_with_single_rules',
        'test_create_and_retrieve_replication_with_multiple_rules',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'The bucket name of the test contains an underscore. S3 refuses it (S3 User Guide, bucket naming rules).',
    tests: [
      ...inFile(
        'test_s3/test_s3_list_object_versions.py',
        'test_list_object_versions_with_delimiter_for_deleted_objects',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'The version id of the test is not one that S3 issued. S3 answers InvalidArgument (recorded: s3.delete_object/test_delete_object_versioned#delete-with-bad-version).',
    tests: [...inFile('test_s3/test_s3.py', 'test_get_unknown_version_should_throw_specific_error')],
  },
  {
    cause: 'moto differs',
    reason:
      'Since January 2023, S3 encrypts every bucket and every object by default (S3 User Guide, default bucket encryption).',
    tests: [
      ...inFile(
        'test_s3/test_s3_encryption.py',
        'test_encryption_on_new_bucket_fails',
        'test_delete_and_get_encryption',
        'test_encryption_status_on_new_objects',
        'test_encryption_status_on_copied_objects',
      ),
      ...inFile('test_s3/test_s3_copyobject.py', 'test_copy_object_with_bucketkeyenabled_returns_the_value'),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'Since April 2023, a new bucket has a public access block (S3 User Guide, blocking public access).',
    tests: [...inFile('test_s3/test_s3.py', 'test_public_access_block')],
  },
  {
    cause: 'moto differs',
    reason:
      'S3 answers the anonymous GET with the code AccessDenied, and a new bucket refuses ACLs (S3 API Reference, error responses).',
    tests: [...inFile('test_s3/test_s3.py', 'test_s3_object_in_private_bucket')],
  },
  {
    cause: 'moto differs',
    reason:
      'S3 returns the ARN of the key in SSEKMSKeyId (recorded: s3.put_object/test_s3_bucket_encryption_sse_kms).',
    tests: [...inFile('test_s3/test_s3_copyobject.py', 'test_copy_object_with_kms_encryption')],
  },
  {
    cause: 'moto differs',
    reason:
      'The list of parts in the test is not in ascending order. S3 answers InvalidPartOrder (S3 API Reference, CompleteMultipartUpload).',
    tests: [...inFile('test_s3/test_s3_multipart.py', 'test_multipart_upload_out_of_order')],
  },
  {
    cause: 'moto differs',
    reason:
      'The key of the test does not exist. S3 refuses it (recorded: s3.create_multipart_upload/test_s3_sse_validate_kms_key).',
    tests: [
      ...inFile('test_s3/test_s3_multipart.py', 'test_ssm_key_headers_in_create_multipart'),
      ...inFile('test_s3/test_s3.py', 'test_object_headers'),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'The key policy of the test is not JSON. KMS refuses it with MalformedPolicyDocumentException (KMS API Reference, CreateKey and PutKeyPolicy).',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_create_key_without_description',
        'test_create_key',
        'test_create_multi_region_key',
        'test_create_multi_region_configuration_key',
        'test_non_multi_region_keys_should_not_have_multi_region_properties',
        'test_replicate_key',
        'test_get_key_policy',
        'test_put_key_policy',
        'test_put_key_policy_using_alias_shouldnt_work',
      ),
      ...inFile(
        'test_kms/test_kms_grants.py',
        'test_create_grant',
        'test_list_grants',
        'test_list_retirable_grants',
        'test_revoke_grant',
        'test_revoke_grant_raises_when_grant_does_not_exist',
        'test_retire_grant_by_token',
        'test_retire_grant_by_grant_id',
      ),
      ...inFile(
        'test_kms/test_kms_key_rotation.py',
        'test_rotate_key_on_demand_with_existing_key',
        'test_list_key_rotations_are_empty_on_new_key',
        'test_list_key_rotations_returns_one_rotation',
        'test_list_key_rotations_returns_truncated_and_next_marker',
        'test_list_key_rotations_pagination',
      ),
      ...inFile(
        'test_kms/test_kms_mac.py',
        'test_generate_mac',
        'test_generate_mac_supports_aliases_for_hmac_keys',
        'test_generate_fails_for_invalid_key_usage',
        'test_generate_fails_for_invalid_key_spec',
        'test_verify_mac',
        'test_verify_mac_fails_for_another_key_id',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason: 'ListAliases returns dates, too (KMS API Reference, AliasListEntry).',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test__create_alias__can_create_multiple_aliases_for_same_key_id',
        'test_list_aliases_for_key_id',
        'test_list_aliases_for_key_arn',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      "KMS puts the key id in quotes: Invalid keyId 'unknown' (recorded: kms.describe_key/test_get_key_invalid_uuid).",
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_enable_key_rotation_with_alias_name_should_fail',
        'test_unknown_tag_methods',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'ScheduleKeyDeletion and CancelKeyDeletion return the ARN of the key (KMS API Reference; recorded: c7n/test_cross_account_kms_condition_keys_1).',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_schedule_key_deletion',
        'test_schedule_key_deletion_custom',
        'test_cancel_key_deletion',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'The test tags a key that is pending deletion. KMS answers KMSInvalidStateException (KMS Developer Guide, key states).',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_tag_resource',
        'test_list_resource_tags',
        'test_list_resource_tags_with_arn',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason: 'The key of the test belongs to another account, in which it does not exist.',
    tests: [
      ...inFile(
        'test_kms/test_kms.py',
        'test_generate_data_key_all_valid_key_ids[arn:aws:kms:us-east-1:012345678912:alias/DoesExist-False]',
        'test_generate_data_key_all_valid_key_ids[arn:aws:kms:us-east-1:012345678912:key/-True]',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'The key policy of the test denies everything to everyone. KMS refuses a policy that locks its author out (KMS API Reference, PutKeyPolicy, BypassPolicyLockoutSafetyCheck).',
    tests: [
      ...inFile(
        'test_kms/test_kms_policy_enforcement.py',
        'TestKMSPolicyEnforcement::test_policy__deny_based_on_actions',
        'TestKMSPolicyEnforcement::test_policy__allow_based_on_actions',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason: 'IAM has another message: The role with name NAME cannot be found (recorded: iam.get_role).',
    tests: [...inFile('test_iam/test_iam.py', 'test_get_role__should_throw__when_role_does_not_exist')],
  },
  {
    cause: 'moto differs',
    reason:
      'The policy of the test is not JSON. IAM refuses it (recorded: iam.create_role/test_create_role_with_malformed_assume_role_policy_document).',
    tests: [
      ...inFile(
        'test_iam/test_iam.py',
        'test_get_role__should_contain_last_used',
        'test_delete_role',
        'test_attach_detach_role_policy',
        'test_only_detach_role_policy',
        'test_create_role_defaults',
        'test_create_role_with_tags',
        'test_tag_role',
        'test_untag_role',
        'test_update_role_description',
        'test_update_role',
        'test_update_role_defaults',
        'test_create_role_no_path',
        'test_create_role_with_same_name_should_fail',
        'test_list_roles_with_more_than_100_roles_no_max_items_defaults_to_100',
        'test_list_roles_max_item_and_marker_values_adhered',
        'test_list_roles_path_prefix_value_adhered',
        'test_list_roles',
        'test_list_entities_for_policy',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason: 'The path of the test has no slashes. IAM refuses it (IAM API Reference, CreateRole, Path).',
    tests: [
      ...inFile(
        'test_iam/test_iam.py',
        'test_list_instance_profiles_for_role',
        'test_list_role_policies',
        'test_put_role_policy',
        'test_get_role_policy',
        'test_update_assume_role_invalid_policy',
        'test_update_assume_role_valid_policy',
        'test_update_assume_role_invalid_policy_bad_action',
        'test_update_assume_role_invalid_policy_with_resource',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'The boundary of the test does not exist. IAM refuses it (IAM API Reference, CreateRole, NoSuchEntity).',
    tests: [...inFile('test_iam/test_iam.py', 'test_create_role_with_permissions_boundary')],
  },
  {
    cause: 'moto differs',
    reason:
      'CreatePolicyVersion and ListPolicyVersions return no documents (IAM API Reference, PolicyVersion).',
    tests: [
      ...inFile(
        'test_iam/test_iam.py',
        'test_create_policy_versions',
        'test_set_default_policy_version',
        'test_list_policy_versions',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'IAM has another message: The number of tags has exceeded the maximum limit (recorded: iam.create_role/test_role_with_tags).',
    tests: [
      ...inFile(
        'test_iam/test_iam.py',
        'test_create_policy_with_too_many_tags',
        'test_updating_existing_tagged_policy_with_too_many_tags',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason: 'The length of a session token is not fixed (STS API Reference, Credentials).',
    tests: [...inFile('test_sts/test_sts.py', 'test_assume_role')],
  },
  {
    cause: 'moto differs',
    reason:
      'The test expects the caller that moto invents, user/moto. The sandbox answers with the caller of the request.',
    tests: [
      ...inFile(
        'test_sts/test_sts.py',
        'test_get_caller_identity_with_default_credentials',
        'test_sts_regions',
      ),
    ],
  },
];
