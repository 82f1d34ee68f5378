import { CODES, type Code } from './codes.ts';
import type { Finding, Fix } from './types.ts';

/** A finding, with what its code says of it. */
export const finding = (code: Code, message: string, fixes: readonly Fix[] = []): Finding => {
  const { title, severity, ...more } = CODES[code] as (typeof CODES)[Code] & { failureReason?: string };
  return {
    code,
    severity,
    title,
    message,
    ...(more.failureReason === undefined ? {} : { failureReason: more.failureReason }),
    fixes: [...fixes],
  };
};
