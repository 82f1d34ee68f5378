import { visible } from '../visible.ts';

/** Text that is nobody's markup, and steers nothing. */
export const escaped = (text: string): string =>
  visible(text.replaceAll('\n', ' '))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
