/** How one client reaches the sandbox. */
export interface Settings {
  /** `http://127.0.0.1:PORT`; `http://localhost:PORT` with a proxy. */
  endpoint: string;
  region: string;
  /**
   * HTTP proxy, which serves all names that end in `.localhost`. The client then addresses buckets in the virtual-hosted
   * style (`bucket.localhost`). Absent: path style.
   */
  proxy?: string;
}

/** A version or a delete marker in a list. Fields that the client does not print are absent. */
export interface ListedVersion {
  key: string;
  versionId?: string;
  isLatest?: boolean;
  isDeleteMarker: boolean;
  /** As in the XML, for example `2026-11-30T17:12:18.000Z`. */
  lastModified?: string;
}

interface ObjectAt {
  bucket: string;
  key: string;
}

/** Arguments and results of the operations that the checks use. Files are paths on this machine. */
export interface Operations {
  /** Creates a bucket in the Region of the settings. */
  createBucket: (args: { bucket: string }) => undefined;
  /** Returns the Region of a bucket, which a client of another Region finds out. */
  regionOf: (args: { bucket: string }) => string;
  put: (args: ObjectAt & { file: string }) => undefined;
  /** Writes the whole object to a file, in the way in which the client transfers large objects. */
  get: (args: ObjectAt & { file: string }) => undefined;
  /** Writes the bytes from `start` (inclusive) to `end` (exclusive, the size of the object) to a file. */
  getRange: (args: ObjectAt & { file: string; start: number; end: number }) => undefined;
  /** Uploads parts of 5 MiB, encrypted with SSE-KMS. */
  putMultipart: (args: ObjectAt & { file: string; keyId: string }) => undefined;
  /** Copies on the server. Clients that copy in parts use parts of 5 MiB. */
  copy: (args: ObjectAt & { toBucket: string; toKey: string }) => undefined;
  /** Returns the keys under a prefix, from all pages. */
  list: (args: { bucket: string; prefix: string }) => string[];
  /** Returns all versions under a prefix, of all pages. */
  listVersions: (args: { bucket: string; prefix: string }) => ListedVersion[];
  delete: (args: ObjectAt) => undefined;
  deleteVersion: (args: ObjectAt & { versionId: string; lastModified: string }) => undefined;
  /** Returns a presigned URL of GET. */
  presignGet: (args: ObjectAt) => string;
  /** Returns a presigned URL of PUT. */
  presignPut: (args: ObjectAt) => string;
}

export type OperationName = keyof Operations;

/** An operation as a driver implements it. */
export type Implementation<O extends OperationName> = (
  settings: Settings,
  args: Parameters<Operations[O]>[0],
) => Promise<ReturnType<Operations[O]>>;

/** A client that runs. */
export interface Driver extends AsyncDisposable {
  operations: { [O in OperationName]?: Implementation<O> };
}

/** A client that the checks drive. */
export interface Client {
  name: string;
  /** Package and version. */
  package: string;
  /** Settings that differ from the defaults of the client. */
  configured: string;
  /** Returns the reason why the client cannot run on this machine; undefined if it can. */
  missing(): string | undefined;
  /** Operations that the client does not have, each with the reason. */
  without: Partial<Record<OperationName, string>>;
  /** Whether presigned URLs have signatures of version 2, in Regions that accept these. */
  signsUrlsWithVersion2?: boolean;
  /** Whether lists of versions omit delete markers. */
  hidesDeleteMarkers?: boolean;
  /** Starts the client. `folder`: an empty folder for its files. */
  start(folder: string): Promise<Driver>;
}

/** Account that the clients use. The sandbox reads it from the access key. */
export const ACCOUNT = '111122223333';
export const SECRET = 'any';
/** Size of a part, the smallest that S3 accepts. */
export const PART_BYTES = 5 * 1024 * 1024;
