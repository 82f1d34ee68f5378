/** Why tests of moto fail against the sandbox. */
export const CAUSES = {
  'not implemented': 'The sandbox does not implement an operation of the test',
  'moto differs': 'Moto differs from AWS',
  'not recorded': 'No recorded response decides',
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
    reason: 'iam:CreateUser',
    tests: inFile('test_sts/test_sts.py', 'test_get_caller_identity_with_iam_user_credentials'),
  },
  {
    cause: 'not implemented',
    reason: 'iam:DeleteServiceLinkedRole',
    tests: inFile('test_iam/test_iam.py', 'test_delete_service_linked_role'),
  },
  {
    cause: 'not implemented',
    reason: 'kms:GenerateMac',
    tests: inFile('test_kms/test_kms_mac.py', 'test_generate_fails_for_non_existent_key'),
  },
  {
    cause: 'not implemented',
    reason: 'kms:GenerateRandom',
    tests: inFile('test_kms/test_kms.py', 'test_generate_random'),
  },
  {
    cause: 'not implemented',
    reason: 'kms:GetPublicKey',
    tests: inFile(
      'test_kms/test_kms.py',
      'test_get_public_key',
      'test_get_public_key_with_alias',
      'test_ensure_key_can_be_verified_manually',
    ),
  },
  {
    cause: 'not implemented',
    reason: 'kms:ListKeyRotations',
    tests: inFile('test_kms/test_kms_key_rotation.py', 'test_list_key_rotations_with_non_existing_key_fails'),
  },
  {
    cause: 'not implemented',
    reason: 'kms:Sign',
    tests: inFile(
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
  },
  {
    cause: 'not implemented',
    reason: 'kms:Verify',
    tests: inFile(
      'test_kms/test_kms.py',
      'test_verify_happy_with_invalid_signature',
      'test_verify_invalid_signing_algorithm',
      'test_verify_invalid_message',
      'test_verify_empty_signature',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The rule of the test has neither Filter nor Prefix, and its role is no ARN. S3 refuses both (recorded: stackd/v1-noprefix, stackd/role-malformed).',
    tests: inFile(
      'test_s3/test_s3_replication.py',
      'test_create_replication_without_versioning',
      'test_create_and_retrieve_replication_with_single_rules',
      'test_create_and_retrieve_replication_with_multiple_rules',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The bucket name of the test contains an underscore. S3 refuses it (S3 User Guide, bucket naming rules).',
    tests: inFile(
      'test_s3/test_s3_list_object_versions.py',
      'test_list_object_versions_with_delimiter_for_deleted_objects',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The version id of the test is not one that S3 issued. S3 answers InvalidArgument (recorded: s3.delete_object/test_delete_object_versioned#delete-with-bad-version).',
    tests: inFile('test_s3/test_s3.py', 'test_get_unknown_version_should_throw_specific_error'),
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
    reason: 'S3 returns a bucket policy without white space. The test expects the text that it wrote.',
    tests: inFile('test_s3/test_s3.py', 'test_policy'),
  },
  {
    cause: 'moto differs',
    reason:
      'Since April 2023, a new bucket has a public access block (S3 User Guide, blocking public access).',
    tests: inFile('test_s3/test_s3.py', 'test_public_access_block'),
  },
  {
    cause: 'moto differs',
    reason:
      'S3 answers the anonymous GET with the code AccessDenied, and a new bucket refuses ACLs (S3 API Reference, error responses).',
    tests: inFile('test_s3/test_s3.py', 'test_s3_object_in_private_bucket'),
  },
  {
    cause: 'moto differs',
    reason:
      'S3 returns the ARN of the key in SSEKMSKeyId (recorded: s3.put_object/test_s3_bucket_encryption_sse_kms).',
    tests: inFile('test_s3/test_s3_copyobject.py', 'test_copy_object_with_kms_encryption'),
  },
  {
    cause: 'moto differs',
    reason: 'Since April 2023, a new bucket has no ACLs (S3 User Guide, Object Ownership).',
    tests: [
      ...inFile('test_s3/test_s3_copyobject.py', 'test_copy_object_does_not_copy_acl'),
      ...inFile('test_s3/test_s3_multipart.py', 'test_multipart_upload_with_headers'),
    ],
  },
  {
    cause: 'moto differs',
    reason:
      'S3 has another message: "Your proposed upload is smaller than the minimum allowed size" (S3 API Reference, error EntityTooSmall).',
    tests: inFile('test_s3/test_s3_multipart.py', 'test_multipart_upload_too_small'),
  },
  {
    cause: 'moto differs',
    reason:
      'The part of the test has another checksum than its upload. S3 answers InvalidRequest (S3 API Reference, UploadPart).',
    tests: inFile('test_s3/test_s3_multipart.py', 'test_multipart_upload_checksum_has_composite_suffix'),
  },
  {
    cause: 'moto differs',
    reason:
      'The list of parts in the test is not in ascending order. S3 answers InvalidPartOrder (S3 API Reference, CompleteMultipartUpload).',
    tests: inFile('test_s3/test_s3_multipart.py', 'test_multipart_upload_out_of_order'),
  },
  {
    cause: 'moto differs',
    reason:
      'The range of the test has no unit. S3 requires bytes=first-last (S3 API Reference, UploadPartCopy).',
    tests: inFile(
      'test_s3/test_s3_multipart.py',
      'test_multipart_upload_with_copy_key',
      'test_multipart_etag_quotes_stripped',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The test aborts an upload under the key of another object. S3 answers NoSuchUpload (S3 API Reference, AbortMultipartUpload).',
    tests: inFile('test_s3/test_s3_multipart.py', 'test_list_multiparts'),
  },
  {
    cause: 'moto differs',
    reason:
      'The number of the part is not between 1 and 10000. S3 answers InvalidArgument, as for 10001 (S3 API Reference, UploadPart).',
    tests: inFile('test_s3/test_s3_multipart.py', 'test_multipart_wrong_partnumber'),
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
      'The date of the test is in the future. Such a condition is invalid, and S3 ignores it (RFC 9110, section 13.1.3).',
    tests: inFile(
      'test_s3/test_s3_conditionals.py',
      'test_head_object_if_modified_since',
      'test_get_object_if_modified_since',
    ),
  },
  {
    cause: 'moto differs',
    reason: 'S3 returns ChecksumType, too (S3 API Reference, Checksum).',
    tests: inFile(
      'test_s3/test_s3_object_attributes.py',
      'TestS3ObjectAttributes::test_get_attributes_checksum',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The test sets the clock of the client to 2012. AWS refuses a request that is older than 15 minutes (IAM User Guide, signing AWS API requests).',
    tests: [
      ...inFile('test_s3/test_s3.py', 'test_last_modified'),
      ...inFile('test_sts/test_sts.py', 'test_assume_role'),
    ],
  },
  {
    cause: 'moto differs',
    reason: 'The test puts a multipart form. S3 stores the body as it is (S3 API Reference, PutObject).',
    tests: inFile('test_s3/test_s3.py', 'test_upload_from_file_to_presigned_url'),
  },
  {
    cause: 'moto differs',
    reason: 'S3 returns an empty Prefix (S3 API Reference, ListObjects).',
    tests: inFile('test_s3/test_s3.py', 'test_list_objects_truncated_response'),
  },
  {
    cause: 'moto differs',
    reason: 'S3 returns StartAfter if the request contains it (S3 API Reference, ListObjectsV2).',
    tests: inFile('test_s3/test_s3.py', 'test_list_objects_v2_truncated_response_start_after'),
  },
  {
    cause: 'moto differs',
    reason: 'S3 returns no DisplayName any more (S3 API Reference, Owner).',
    tests: inFile('test_s3/test_s3.py', 'test_list_objects_v2_fetch_owner'),
  },
  {
    cause: 'moto differs',
    reason:
      'x-amz-sdk-checksum-algorithm is a header of the request. S3 does not return it (S3 API Reference, PutObject).',
    tests: inFile('test_s3/test_s3.py', 'test_list_objects_v2_checksum_algo'),
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
        'test_verify_mac',
        'test_verify_mac_fails_for_another_key_id',
      ),
    ],
  },
  {
    cause: 'moto differs',
    reason: 'ListAliases returns dates, too (KMS API Reference, AliasListEntry).',
    tests: inFile(
      'test_kms/test_kms.py',
      'test__create_alias__can_create_multiple_aliases_for_same_key_id',
      'test_list_aliases_for_key_id',
      'test_list_aliases_for_key_arn',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      "KMS puts the key id in quotes: Invalid keyId 'unknown' (recorded: kms.describe_key/test_get_key_invalid_uuid).",
    tests: inFile(
      'test_kms/test_kms.py',
      'test_enable_key_rotation_with_alias_name_should_fail',
      'test_unknown_tag_methods',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'ScheduleKeyDeletion and CancelKeyDeletion return the ARN of the key (KMS API Reference; recorded: c7n/test_cross_account_kms_condition_keys_1).',
    tests: inFile(
      'test_kms/test_kms.py',
      'test_schedule_key_deletion',
      'test_schedule_key_deletion_custom',
      'test_cancel_key_deletion',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The test tags a key that is pending deletion. KMS answers KMSInvalidStateException (KMS Developer Guide, key states).',
    tests: inFile(
      'test_kms/test_kms.py',
      'test_tag_resource',
      'test_list_resource_tags',
      'test_list_resource_tags_with_arn',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'KMS answers IncorrectKeyException for another key than that of the ciphertext (KMS API Reference, Decrypt).',
    tests: inFile('test_kms/test_kms.py', 'test_decrypt_validates_key_id'),
  },
  {
    cause: 'moto differs',
    reason: 'The key of the test belongs to another account, in which it does not exist.',
    tests: inFile(
      'test_kms/test_kms.py',
      'test_generate_data_key_all_valid_key_ids[arn:aws:kms:us-east-1:012345678912:alias/DoesExist-False]',
      'test_generate_data_key_all_valid_key_ids[arn:aws:kms:us-east-1:012345678912:key/-True]',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'KMS has another message: Alias must start with the prefix "alias/" (aws-controllers-k8s/community#1878).',
    tests: inFile('test_kms/test_kms.py', 'test__create_alias__raises_if_wrong_prefix'),
  },
  {
    cause: 'moto differs',
    reason: 'KMS refuses a KeyUsage that does not fit the KeySpec (KMS API Reference, CreateKey).',
    tests: inFile(
      'test_kms/test_kms_mac.py',
      'test_generate_fails_for_invalid_key_usage',
      'test_generate_fails_for_invalid_key_spec',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The key policy of the test denies everything to everyone. KMS refuses a policy that locks its author out (KMS API Reference, PutKeyPolicy, BypassPolicyLockoutSafetyCheck).',
    tests: inFile(
      'test_kms/test_kms_policy_enforcement.py',
      'TestKMSPolicyEnforcement::test_policy__deny_based_on_actions',
      'TestKMSPolicyEnforcement::test_policy__allow_based_on_actions',
    ),
  },
  {
    cause: 'moto differs',
    reason: 'IAM has another message: The role with name NAME cannot be found (recorded: iam.get_role).',
    tests: inFile('test_iam/test_iam.py', 'test_get_role__should_throw__when_role_does_not_exist'),
  },
  {
    cause: 'moto differs',
    reason:
      'The policy of the test is not JSON. IAM refuses it (recorded: iam.create_role/test_create_role_with_malformed_assume_role_policy_document).',
    tests: inFile(
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
  },
  {
    cause: 'moto differs',
    reason: 'The path of the test has no slashes. IAM refuses it (IAM API Reference, CreateRole, Path).',
    tests: inFile(
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
  },
  {
    cause: 'moto differs',
    reason:
      'The boundary of the test does not exist. IAM refuses it (IAM API Reference, CreateRole, NoSuchEntity).',
    tests: inFile('test_iam/test_iam.py', 'test_create_role_with_permissions_boundary'),
  },
  {
    cause: 'moto differs',
    reason:
      'The service of the test does not exist. IAM refuses it (IAM API Reference, CreateServiceLinkedRole).',
    tests: inFile('test_iam/test_iam.py', 'test_create_service_linked_role[other-other]'),
  },
  {
    cause: 'moto differs',
    reason:
      'The test expects lists in the trust policy. The trust policies of service-linked roles have one action and one service as text (IAM User Guide, service-linked roles).',
    tests: inFile('test_iam/test_iam.py', 'test_create_service_linked_role__with_suffix'),
  },
  {
    cause: 'moto differs',
    reason:
      'The Sid of the test contains an underscore. IAM accepts letters and digits (IAM User Guide, JSON policy element Sid).',
    tests: inFile(
      'test_iam/test_iam_policies.py',
      'test_create_policy_with_valid_policy_document[valid_policy_document39]',
      'test_create_policy_with_valid_policy_document[valid_policy_document40]',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'CreatePolicyVersion and ListPolicyVersions return no documents (IAM API Reference, PolicyVersion).',
    tests: inFile(
      'test_iam/test_iam.py',
      'test_create_policy_versions',
      'test_set_default_policy_version',
      'test_list_policy_versions',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'IAM has another message: The number of tags has exceeded the maximum limit (recorded: iam.create_role/test_role_with_tags).',
    tests: inFile(
      'test_iam/test_iam.py',
      'test_create_policy_with_too_many_tags',
      'test_updating_existing_tagged_policy_with_too_many_tags',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The test expects a full stop at the end of the message. AWS sends none (recorded: kms.create_key/test_create_key_with_invalid_tag_key).',
    tests: inFile(
      'test_iam/test_iam.py',
      'test_create_policy_with_tag_containing_large_key',
      'test_create_policy_with_tag_containing_large_value',
      'test_updating_existing_tagged_policy_with_large_key',
      'test_updating_existing_tagged_policy_with_large_value',
      'test_untag_policy',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The test expects the marker "1". A marker is an opaque text (IAM API Reference, ListPolicyTags).',
    tests: inFile('test_iam/test_iam.py', 'test_list_policy_tags_pagination'),
  },
  {
    cause: 'moto differs',
    reason:
      'The test expects the caller that moto invents, user/moto. The sandbox answers with the caller of the request.',
    tests: inFile(
      'test_sts/test_sts.py',
      'test_get_caller_identity_with_default_credentials',
      'test_sts_regions',
    ),
  },
  {
    cause: 'moto differs',
    reason:
      'The test sends temporary credentials without their session token. AWS refuses them (IAM User Guide, temporary security credentials).',
    tests: inFile('test_sts/test_sts.py', 'test_get_caller_identity_with_assumed_role_credentials'),
  },
  {
    cause: 'not recorded',
    reason:
      'The bucket of the test does not exist, and the request has no keys. Which error S3 sends first is not recorded.',
    tests: inFile('test_s3/test_s3.py', 'test_delete_empty_keys_list'),
  },
  {
    cause: 'not recorded',
    reason:
      'The metadata of the test is in the query of a URL that Signature Version 2 signs. Whether S3 stores it is not recorded.',
    tests: inFile('test_s3/test_s3.py', 'test_presigned_put_url_with_custom_headers'),
  },
  {
    cause: 'not recorded',
    reason: "The order of the values in KMS's message is not recorded.",
    tests: inFile('test_kms/test_kms.py', 'test_create_key_with_invalid_key_spec'),
  },
  {
    cause: 'not recorded',
    reason: 'The error of KMS for an alias as the target of an alias is not recorded.',
    tests: inFile('test_kms/test_kms.py', 'test__create_alias__raises_if_target_key_id_is_existing_alias'),
  },
  {
    cause: 'not recorded',
    reason: 'The error of KMS for deleting an alias without the prefix alias/ is not recorded.',
    tests: inFile('test_kms/test_kms.py', 'test__delete_alias__raises_if_wrong_prefix'),
  },
  {
    cause: 'sandbox differs',
    reason:
      'S3 answers SignatureDoesNotMatch for a wrong signature. The sandbox checks only the signatures of temporary credentials, whose secret it knows.',
    tests: inFile('test_s3/test_s3.py', 'test_presigned_put_url_with_approved_headers'),
  },
  {
    cause: 'sandbox differs',
    reason:
      'KMS lists the predefined aliases of AWS managed keys that do not exist yet (KMS API Reference, ListAliases). The sandbox lists only those that exist.',
    tests: inFile('test_kms/test_kms.py', 'test_list_aliases'),
  },
  {
    cause: 'sandbox differs',
    reason:
      'The sandbox derives the name of a service-linked role from the name of the service. The services of AWS have names of their own, such as AWSServiceRoleForAutoScaling (IAM User Guide, service-linked roles).',
    tests: inFile(
      'test_iam/test_iam.py',
      'test_create_service_linked_role[autoscaling-AutoScaling]',
      'test_create_service_linked_role[elasticbeanstalk-ElasticBeanstalk]',
      'test_create_service_linked_role[custom-resource.application-autoscaling-ApplicationAutoScaling_CustomResource]',
    ),
  },
  {
    cause: 'sandbox differs',
    reason: 'IAM accepts null in a list of resources (test_iam_policies.py). The sandbox refuses it.',
    tests: inFile(
      'test_iam/test_iam_policies.py',
      'test_create_policy_with_valid_policy_document[valid_policy_document41]',
    ),
  },
  {
    cause: 'sandbox differs',
    reason:
      'GetAccountSummary returns more numbers and quotas (IAM API Reference). The sandbox returns those that it enforces.',
    tests: inFile('test_iam/test_iam.py', 'test_get_account_summary'),
  },
];
