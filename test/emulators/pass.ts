import path from 'node:path';
import { type CliResult, runCli } from '../support/cli.ts';

/** The result of a run on an emulator, from its JSON output. */
export interface Pass extends CliResult {
  results: Partial<Record<'applied' | 'failed' | 'skipped', number>>;
  failures: { id: string; why: string }[];
  writes: number | undefined;
}

const SPECS = path.resolve(import.meta.dirname, '../../specs');

/** Runs the built program with a spec and dummy credentials. */
export async function pass(
  { endpoint, spec = 'tax.yaml' }: { endpoint: string; spec?: string },
  ...args: string[]
): Promise<Pass> {
  const file = path.join(SPECS, spec);
  const ran = await runCli([...(args.includes('--output') ? [] : ['--output', 'json']), ...args, file], {
    env: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_REGION: 'us-east-1',
    },
  });
  const { results = [], calls } = ran.stdout.startsWith('{') ? JSON.parse(ran.stdout) : {};
  const counts: Pass['results'] = {};
  for (const { result } of results as { result: keyof Pass['results'] }[])
    counts[result] = (counts[result] ?? 0) + 1;
  const failures = (results as { id: string; result: string; why: string }[])
    .filter(({ result }) => result === 'failed')
    .map(({ id, why }) => ({ id, why }));
  return { ...ran, results: counts, failures, writes: calls?.writes };
}
