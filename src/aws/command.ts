import type { Service } from './sdk-clients.ts';

/** What an SDK command says of its operation: a mark, namespace, name, traits, forms of input and output. */
export type OperationSchema = readonly [number, string, string, unknown, unknown, unknown];

export const schemaOf = (command: object): OperationSchema => (command as { schema: OperationSchema }).schema;

/** Service and operation of an SDK command: its schema says both. */
export function commandInfo(command: object): { service: Service; operation: string; input: unknown } {
  const [, namespace, operation] = schemaOf(command);
  const { input } = command as { input?: unknown };
  return { service: namespace.slice('com.amazonaws.'.length) as Service, operation, input };
}

/** Operations that only read; a dry run may send nothing else. */
export const isReadOperation = (operation: string): boolean =>
  /^(Get|List|Head|Describe|Lookup)/.test(operation);
