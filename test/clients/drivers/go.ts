import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '../client.ts';
import { goVersion } from '../versions.ts';
import { startLineDriver } from './line-driver.ts';

const SDK = 'github.com/aws/aws-sdk-go-v2';
const PROGRAM = path.resolve(import.meta.dirname, '../../../.cache/go/s3-client');

/** aws-sdk-go-v2, with its transfer manager for objects. */
export const goSdk: Client = {
  name: 'aws-sdk-go-v2',
  package: `service/s3 ${goVersion(`${SDK}/service/s3`)}, feature/s3/transfermanager ${goVersion(`${SDK}/feature/s3/transfermanager`)}`,
  configured: 'parts of 5 MiB; downloads by part number and by range',
  without: {},
  missing: () =>
    existsSync(PROGRAM)
      ? undefined
      : 'the Go driver is not built; test/emulators/setup.sh go-client builds it, or prints why it cannot',
  start: async (folder) => startLineDriver(PROGRAM, [], { folder, without: {} }),
};
