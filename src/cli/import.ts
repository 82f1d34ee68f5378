import { EXIT, UserError } from '../errors.ts';
import type { FoundReplication } from '../import/found.ts';
import { allBuckets, look } from '../import/look.ts';
import { specsOf } from '../import/specs.ts';
import type { Io } from './io.ts';
import type { ImportOptions } from './options.ts';
import { openSession } from './session.ts';

/** `reconcile import`: specs for what exists. */
export async function importSpecs(options: ImportOptions, io: Io, signal: AbortSignal): Promise<number> {
  if (!options.all && options.bucket.length === 0)
    throw new UserError(
      EXIT.usage,
      'name a bucket: reconcile import --bucket acme-tax, or --all for every one',
    );
  const nothing = { pairs: [], accounts: [], limits: {}, variables: [] };
  const session = await openSession(nothing, options, io, signal);
  try {
    const door = session.door.readOnly();
    const names = options.all ? await allBuckets(door, { region: options.region }) : options.bucket;
    const found: FoundReplication[] = [];
    for (const name of names) {
      const one = await look(door, name, options.region).catch((error: unknown) => {
        if (error instanceof UserError) throw error;
        throw new UserError(EXIT.failed, `the bucket ${name} cannot be read: ${reasonOf(error)}`, {
          cause: error,
        });
      });
      if (one) found.push(one);
      else if (!options.all)
        throw new UserError(EXIT.failed, `the bucket ${name} has no replication configuration`);
    }
    if (found.length === 0)
      throw new UserError(EXIT.failed, `none of ${names.length} buckets has a replication configuration`);
    io.stdout.write(specsOf(found));
    return EXIT.ok;
  } finally {
    await session.close();
  }
}

/** HEAD answers have no body to say more in than a status. */
function reasonOf(error: unknown): string {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  if (status === 404) return 'there is none of that name';
  if (status === 403) return 'it belongs to another account, or these credentials lack the permission';
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
