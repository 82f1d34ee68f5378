import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import worker from 'node:worker_threads';

/** Fails a fast test that starts a process or a server: the rule in scripts/fast-tests.mjs did not recognise it. */
function refuse(what: string): () => never {
  return () => {
    throw new Error(`a fast test starts a ${what}: extend the rule in scripts/fast-tests.mjs`);
  };
}

for (const name of ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'] as const)
  childProcess[name] = refuse('process') as never;
worker.Worker = refuse('worker') as never;
net.Server.prototype.listen = refuse('server');
syncBuiltinESMExports();
