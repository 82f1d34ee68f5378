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
