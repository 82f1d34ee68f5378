export type Service = 's3' | 'iam' | 'kms' | 'sts' | 'cloudtrail';

/** The schema of an SDK command: type mark, namespace, name, traits, input schema and output schema. */
export type OperationSchema = readonly [number, string, string, unknown, unknown, unknown];

export const schemaOf = (command: object): OperationSchema => (command as { schema: OperationSchema }).schema;

/** Returns service and operation of an SDK command, from its schema. */
export function commandInfo(command: object): { service: Service; operation: string; input: unknown } {
  const [, namespace, operation] = schemaOf(command);
  const { input } = command as { input?: unknown };
  return { service: namespace.slice('com.amazonaws.'.length) as Service, operation, input };
}

/** Whether an operation only reads. A dry run sends no other operations. */
export const isReadOperation = (operation: string): boolean =>
  /^(Get|List|Head|Describe|Lookup)/.test(operation);

/**
 * KMS quotas in calls a second, for each account and Region. replikey does not reach the quotas of other operations.
 *
 * https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
 */
export const KMS_QUOTAS = {
  CreateKey: 5,
  CreateAlias: 5,
  UpdateKeyDescription: 5,
  TagResource: 10,
  EnableKeyRotation: 15,
  DisableKeyRotation: 15,
  PutKeyPolicy: 15,
};

/** The quotas that AWS publishes, in calls a second. */
export const PUBLISHED_QUOTAS: Partial<Record<Service, Record<string, number>>> = {
  kms: KMS_QUOTAS,
  // https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
  cloudtrail: { LookupEvents: 2 },
};
