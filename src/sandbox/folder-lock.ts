import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Lock of a folder, which one process holds at a time. */
export interface FolderLock {
  /** @throws Error when the lock file does not belong to this process any more. */
  assertHeld(): void;
  release(): void;
}

/**
 * Locks a folder for this process. Takes over the lock of a dead process, even if another process has the same id now.
 *
 * @throws Error when a running process holds the lock.
 */
export function lockFolder(folder: string): FolderLock {
  const file = path.join(folder, 'lock');
  const holder = lockHolderOf(file);
  if (holder && processStartOf(holder.pid) === holder.started)
    throw folderInUseError(folder, `process ${holder.pid}`);
  rmSync(file, { force: true });
  const started = processStartOf(process.pid);
  // The id distinguishes two sandboxes of one process, and two containers in which the process has the same id.
  const content = JSON.stringify({ pid: process.pid, started, id: randomUUID() });
  const temporaryFile = `${file}.${randomUUID()}.tmp`;
  try {
    writeFileSync(temporaryFile, content, { flag: 'wx', mode: 0o600 });
    // link() fails if the file exists, and creates it with its content otherwise.
    linkSync(temporaryFile, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw folderInUseError(folder, 'another process');
  } finally {
    rmSync(temporaryFile, { force: true });
  }
  const isHeld = () => readIfExists(file) === content;
  return {
    assertHeld() {
      if (!isHeld())
        throw new Error(
          `${file} was replaced: another process uses the folder; stop one of them, and start again`,
        );
    },
    release() {
      if (isHeld()) rmSync(file, { force: true });
    },
  };
}

const folderInUseError = (folder: string, holder: string): Error =>
  new Error(`${folder} is in use by ${holder}: stop it, or use another folder`);

function readIfExists(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Returns the process that holds the lock; undefined without a lock, or if a crash left the file incomplete. */
function lockHolderOf(file: string): { pid: number; started: string } | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8')) as { pid: unknown; started: unknown };
    return typeof pid === 'number' && pid > 0 && typeof started === 'string' ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the start time of a process, in Linux's unit; `running` on systems without `/proc`. Undefined if the process
 * does not run.
 */
function processStartOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name in parentheses can contain spaces. The start time is the 20th field after it.
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
