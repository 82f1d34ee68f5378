import { type FSWatcher, watch } from 'node:fs';
import { lstat, readlink, stat } from 'node:fs/promises';
import path from 'node:path';

/** Folders that the system gives notice of. */
export interface Places {
  /**
   * Watch where a change of these files, or of what leads to these paths, would show.
   *
   * @returns whether there are new ones, in which something may have changed without notice.
   */
  follow(paths: readonly string[], files: readonly string[]): Promise<boolean>;
  close(): void;
}

/** Many more than anybody has; the rest is seen by looking every so often. */
const MOST_FOLDERS = 200;

/** A link may lead to a link; one that leads in a circle is not followed for ever. */
const MOST_LINKS = 40;

/**
 * A notice is about what a name stood for when it was asked for: behind a link that is swapped, and of a file or folder
 * that is put in the place of another, it never comes. So folders are watched, those that hold the links as well, and which
 * ones is found out anew whenever it may be others.
 */
export function watchPlaces(onNotice: () => void): Places {
  const watchers = new Map<string, FSWatcher>();
  let closed = false;
  const drop = (key: string) => {
    watchers.get(key)?.close();
    watchers.delete(key);
  };
  return {
    async follow(paths, files) {
      const names: Names = new Map();
      for (const one of [...paths, ...new Set(files.map((file) => path.dirname(file)))])
        if (names.size < MOST_FOLDERS) await collect(path.resolve(one), names);
      const wanted = new Map<string, { folder: string; of: ReadonlySet<string> }>();
      for (const [folder, of] of names) {
        const info = await stat(folder).catch(() => undefined);
        // By its number: another folder of the same name is another.
        if (info) wanted.set([folder, info.dev, info.ino, ...[...of].sort()].join('\0'), { folder, of });
      }
      if (closed) return false;
      for (const key of watchers.keys()) if (!wanted.has(key)) drop(key);
      let isNew = false;
      for (const [key, { folder, of }] of wanted) {
        if (watchers.has(key)) continue;
        const onName = (_: string, name: string | null) => {
          if (name === null || of.has(ANY) || of.has(name)) onNotice();
        };
        const watcher = watcherOf(folder, onName, () => drop(key));
        if (!watcher) continue;
        watchers.set(key, watcher);
        isNew = true;
      }
      return isNew;
    },
    close() {
      closed = true;
      for (const key of watchers.keys()) drop(key);
    },
  };
}

/** By folder, the names in it that matter. */
type Names = Map<string, Set<string>>;
const ANY = '*';

/** The names that decide what a path leads to: of each link on the way, of its end, and whatever lies there. */
async function collect(at: string, names: Names, links = 0): Promise<void> {
  const add = (folder: string, name: string) => {
    names.set(folder, (names.get(folder) ?? new Set()).add(name));
  };
  const { root } = path.parse(at);
  const parts = at.slice(root.length).split(path.sep).filter(Boolean);
  let folder = root;
  for (const [index, part] of parts.entries()) {
    const next = path.join(folder, part);
    const info = await lstat(next).catch(() => undefined);
    if (info?.isSymbolicLink()) {
      add(folder, part);
      const target = await readlink(next).catch(() => undefined);
      if (target === undefined || links >= MOST_LINKS) return;
      return collect(path.resolve(folder, target, ...parts.slice(index + 1)), names, links + 1);
    }
    // A file, or what may come yet; of a glob, whatever matches.
    if (!info?.isDirectory()) return add(folder, info ? part : ANY);
    folder = next;
  }
  add(folder, ANY);
  add(path.dirname(folder), path.basename(folder));
}

/** A watcher, where the system has one; where not, the looks every so often are enough. */
function watcherOf(
  folder: string,
  onNotice: (event: string, name: string | null) => void,
  onEnd: () => void,
): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, onNotice);
    watcher.on('error', onEnd);
    return watcher;
  } catch {
    return undefined;
  }
}
