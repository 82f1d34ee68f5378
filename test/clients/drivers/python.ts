import path from 'node:path';
import { pythonEnvironment } from '../../support/python.ts';
import type { Client } from '../client.ts';
import { pinnedVersion } from '../versions.ts';
import { startLineDriver } from './line-driver.ts';

/** boto3, with its transfer manager for objects. */
export const boto3: Client = {
  name: 'boto3',
  package: `boto3 ${pinnedVersion('boto3')}, s3transfer ${pinnedVersion('s3transfer', 'boto3')} (PyPI)`,
  configured: '`TransferConfig` with threshold and parts of 5 MiB',
  without: {},
  ...pythonDriver('boto3', {}),
};

const WITHOUT_MINIO = {};

/** minio-py. */
export const minio: Client = {
  name: 'minio-py',
  package: `minio ${pinnedVersion('minio')} (PyPI)`,
  configured: 'parts of 5 MiB; `enable_virtual_style_endpoint()` for virtual-hosted addressing',
  without: WITHOUT_MINIO,
  ...pythonDriver('minio', WITHOUT_MINIO),
};

function pythonDriver(
  name: 'boto3' | 'minio',
  without: Client['without'],
): Pick<Client, 'start' | 'missing'> {
  const script = path.join(import.meta.dirname, `${name}_driver.py`);
  return {
    missing: () => pythonEnvironment(name).missing,
    start: async (folder) =>
      startLineDriver(pythonEnvironment(name).program('python'), ['-B', script], { folder, without }),
  };
}
