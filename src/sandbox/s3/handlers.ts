import type { Handlers } from '../call.ts';
import { bucketHandlers } from './buckets.ts';
import { copyHandlers } from './copy.ts';
import { listingHandlers } from './listing.ts';
import { multipartHandlers } from './multipart.ts';
import { objectHandlers } from './objects.ts';
import { replicationHandlers } from './replication-config.ts';
import { settingHandlers } from './settings.ts';

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
