import { type FSWatcher, watch } from 'node:fs';
import { lstat, readlink, stat } from 'node:fs/promises';
import path from 'node:path';

/** Watches folders for file system events. */
export interface PathWatcher {
  /**
   * Watches all folders in which a change of these files, or of the links in these paths, is visible.
   *
   * @returns whether new folders were added, in which a file may have changed before the watch started.
   */
  update(paths: readonly string[], files: readonly string[]): Promise<boolean>;
  close(): void;
}

/** Maximum number of watched folders, far above common setups. Polling covers the others. */
const MAX_WATCHED_FOLDERS = 200;

/** Maximum number of links to follow in a chain, because links can form a cycle. */
const MAX_SYMLINKS = 40;

/**
 * Watches folders instead of files. A watch follows the inode that a path resolved to when the watch started: it
 * reports neither a swapped link nor a replaced file or folder. Therefore the folders that contain the links are
 * watched as well, and every update determines the folders again.
 */
export function watchPaths(onEvent: () => void): PathWatcher {
  const watchers = new Map<string, FSWatcher>();
  let isClosed = false;
  const unwatch = (key: string) => {
    watchers.get(key)?.close();
    watchers.delete(key);
  };
  return {
    async update(paths, files) {
      const namesByFolder: WatchedNames = new Map();
      for (const start of [...paths, ...new Set(files.map((file) => path.dirname(file)))])
        if (namesByFolder.size < MAX_WATCHED_FOLDERS)
          await collectWatchedNames(path.resolve(start), namesByFolder);
      const desired = new Map<string, { folder: string; names: ReadonlySet<string> }>();
      for (const [folder, names] of namesByFolder) {
        const info = await stat(folder).catch(() => undefined);
        // The key includes device and inode: a replaced folder of the same name is a different folder.
        if (info)
          desired.set([folder, info.dev, info.ino, ...[...names].sort()].join('\0'), { folder, names });
      }
      if (isClosed) return false;
      for (const key of watchers.keys()) if (!desired.has(key)) unwatch(key);
      let hasNew = false;
      for (const [key, { folder, names }] of desired) {
        if (watchers.has(key)) continue;
        const onFsEvent = (_: string, name: string | null) => {
          if (name === null || names.has(ANY_NAME) || names.has(name)) onEvent();
        };
        const watcher = openWatcher(folder, onFsEvent, () => unwatch(key));
        if (!watcher) continue;
        watchers.set(key, watcher);
        hasNew = true;
      }
      return hasNew;
    },
    close() {
      isClosed = true;
      for (const key of watchers.keys()) unwatch(key);
    },
  };
}

/** By folder, the relevant names in it. */
type WatchedNames = Map<string, Set<string>>;
const ANY_NAME = '*';

/** Collects the names that determine where a path leads: each link on the way, the target and its content. */
async function collectWatchedNames(
  absolutePath: string,
  namesByFolder: WatchedNames,
  links = 0,
): Promise<void> {
  const add = (folder: string, name: string) => {
    namesByFolder.set(folder, (namesByFolder.get(folder) ?? new Set()).add(name));
  };
  const { root } = path.parse(absolutePath);
  const parts = absolutePath.slice(root.length).split(path.sep).filter(Boolean);
  let folder = root;
  for (const [index, part] of parts.entries()) {
    const next = path.join(folder, part);
    const info = await lstat(next).catch(() => undefined);
    if (info?.isSymbolicLink()) {
      add(folder, part);
      const target = await readlink(next).catch(() => undefined);
      if (target === undefined || links >= MAX_SYMLINKS) return;
      return collectWatchedNames(
        path.resolve(folder, target, ...parts.slice(index + 1)),
        namesByFolder,
        links + 1,
      );
    }
    // A file, or a file that may be created later. For a glob, any name in the folder.
    if (!info?.isDirectory()) return add(folder, info ? part : ANY_NAME);
    folder = next;
  }
  add(folder, ANY_NAME);
  add(path.dirname(folder), path.basename(folder));
}

/** Opens a watcher. Returns undefined if the system has none; polling is then sufficient. */
function openWatcher(
  folder: string,
  onEvent: (event: string, name: string | null) => void,
  onError: () => void,
): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, onEvent);
    watcher.on('error', onError);
    return watcher;
  } catch {
    return undefined;
  }
}
