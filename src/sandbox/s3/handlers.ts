import type { Handlers } from '../call.ts';
import { settingHandlers } from './bucket-settings.ts';
import { bucketHandlers } from './buckets.ts';
import { copyHandlers } from './copy-object.ts';
import { listingHandlers } from './list-objects.ts';
import { multipartHandlers } from './multipart.ts';
import { objectHandlers } from './objects.ts';
import { replicationHandlers } from './replication-config.ts';

/** The API of S3 (REST and XML). */
export const s3Handlers: Handlers = {
  ...bucketHandlers,
  ...settingHandlers,
  ...replicationHandlers,
  ...objectHandlers,
  ...copyHandlers,
  ...listingHandlers,
  ...multipartHandlers,
};
