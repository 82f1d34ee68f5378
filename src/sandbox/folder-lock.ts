import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Take a folder for this process; the result gives it back. The lock of a process that died is taken over, also where
 * another process has its number by now.
 *
 * @throws Error when a process that runs has it.
 */
export function lockFolder(folder: string): () => void {
  const file = path.join(folder, 'lock');
  const holder = lockHolderOf(file);
  if (holder && processStartOf(holder.pid) === holder.started)
    throw folderInUseError(folder, `process ${holder.pid}`);
  rmSync(file, { force: true });
  try {
    const content = JSON.stringify({ pid: process.pid, started: processStartOf(process.pid) });
    writeFileSync(file, content, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw folderInUseError(folder, 'a process that was quicker');
  }
  return () => rmSync(file, { force: true });
}

const folderInUseError = (folder: string, holder: string): Error =>
  new Error(`${folder} is in use by ${holder}: stop it, or use another folder`);

/** Who holds the lock; a file that a crash left half-written names nobody. */
function lockHolderOf(file: string): { pid: number; started: string } | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8')) as { pid: unknown; started: unknown };
    return typeof pid === 'number' && pid > 0 && typeof started === 'string' ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

/** When a process was started, as Linux counts it; elsewhere only that it runs. Undefined if it does not. */
function processStartOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name, in parentheses, may hold spaces; the start is the 20th field after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return isProcessRunning(pid) ? 'running' : undefined;
  }
}

function isProcessRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
