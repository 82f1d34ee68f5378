import { escapeUnprintable } from '../../util/escape.ts';

/** Text that is nobody's markup, and steers nothing. */
export const escapeHtml = (text: string): string =>
  escapeUnprintable(text.replaceAll('\n', ' '))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
