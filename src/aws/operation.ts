import type { Service } from './clients.ts';

/** Service and operation of an SDK command: its schema says both. */
export function nameOf(command: object): { service: Service; operation: string; input: unknown } {
  const { schema, input } = command as { schema?: [unknown, string, string]; input?: unknown };
  const [, namespace = '', operation = ''] = schema ?? [];
  return { service: namespace.slice('com.amazonaws.'.length) as Service, operation, input };
}

/** Operations that only read; a dry run may send nothing else. */
export const isRead = (operation: string): boolean => /^(Get|List|Head|Describe)/.test(operation);
