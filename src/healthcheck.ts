import { readFile } from 'node:fs/promises';
import { healthUrlOf } from './util/health-url.ts';

/**
 * Checks the process of a container, as HEALTHCHECK of the image: exits with 0 if it is healthy, and with 1 and a reason
 * otherwise. Reads the address of the health endpoint from the command line of the process. The argument is the process
 * id, by default 1. The image contains no shell and no other HTTP client.
 */
process.exitCode = await checkHealth(process.argv[2] ?? '1');

async function checkHealth(pid: string): Promise<number> {
  try {
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
    const url = healthUrlOf(args);
    if (url === undefined) return report(0, 'no health endpoint: the command ends by itself');
    const response = await fetch(url, { signal: AbortSignal.timeout(4_000) });
    return report(response.ok ? 0 : 1, `${url}: HTTP ${response.status} ${(await response.text()).trim()}`);
  } catch (error) {
    const { message, cause } = error as Error;
    return report(1, cause instanceof Error ? `${message}: ${cause.message}` : message);
  }
}

function report(exitCode: number, text: string): number {
  process.stdout.write(`${text.slice(0, 500)}\n`);
  return exitCode;
}
