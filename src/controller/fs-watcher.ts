import { type FSWatcher, watch } from 'node:fs';
import { lstat, readlink, stat } from 'node:fs/promises';
import path from 'node:path';

/** Folders that the system gives notice of. */
export interface PathWatcher {
  /**
   * Watch where a change of these files, or of what leads to these paths, would show.
   *
   * @returns whether there are new ones, in which something may have changed without notice.
   */
  update(paths: readonly string[], files: readonly string[]): Promise<boolean>;
  close(): void;
}

/** Many more than anybody has; the rest is seen by looking every so often. */
const MAX_WATCHED_FOLDERS = 200;

/** A link may lead to a link; one that leads in a circle is not followed for ever. */
const MAX_SYMLINKS = 40;

/**
 * A notice is about what a name stood for when it was asked for: behind a link that is swapped, and of a file or folder
 * that is put in the place of another, it never comes. So folders are watched, those that hold the links as well, and which
 * ones is found out anew whenever it may be others.
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
        // By its number: another folder of the same name is another.
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

/** By folder, the names in it that matter. */
type WatchedNames = Map<string, Set<string>>;
const ANY_NAME = '*';

/** The names that decide what a path leads to: of each link on the way, of its end, and whatever lies there. */
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
    // A file, or what may come yet; of a glob, whatever matches.
    if (!info?.isDirectory()) return add(folder, info ? part : ANY_NAME);
    folder = next;
  }
  add(folder, ANY_NAME);
  add(path.dirname(folder), path.basename(folder));
}

/** A watcher, where the system has one; where not, the looks every so often are enough. */
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
