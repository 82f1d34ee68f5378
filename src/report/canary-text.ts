import type { CanaryResult } from '../canary/canary.ts';
import { escapeUnprintable } from '../util/escape.ts';
import type { Paint } from './paint.ts';

/** One line a canary. */
export function canaryText(
  { pair, rule, bucketKey, sseAlgorithm, result, latencyMs, why, left }: CanaryResult,
  paint: Paint,
): string {
  const name = `${pair}/${rule}`;
  if (result === 'skipped') return `${paint.dim('-')} ${name}: ${why}`;
  const isKms = sseAlgorithm === 'aws:kms';
  const encryptionLabel = isKms ? `${bucketKey ? 'with' : 'without'} a Bucket Key` : 'encrypted by S3 alone';
  const line =
    result === 'replicated'
      ? `${paint.green('✓')} ${name}, ${encryptionLabel}: replicated${isKms ? ' under the declared key' : ''} in ${latencyMs} ms`
      : `${paint.red('✗')} ${name}, ${encryptionLabel}: ${escapeUnprintable(why ?? '')}`;
  return [
    line,
    ...(left ?? []).map((version) => `    ${paint.yellow('left behind')} ${escapeUnprintable(version)}`),
  ].join('\n');
}
