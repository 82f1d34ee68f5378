/** Bucket and key of an S3 request: in the path, or the bucket in the host name. */
export function parseBucketAndKey(host: string, url: string): { bucket: string; key: string } {
  const path = url.split('?')[0] ?? '/';
  const hostBucket = bucketOfHost(host);
  const relativePath = path.slice(1);
  if (hostBucket !== undefined) return { bucket: hostBucket, key: tryDecodeUri(relativePath) };
  const slash = relativePath.indexOf('/');
  if (slash < 0) return { bucket: tryDecodeUri(relativePath), key: '' };
  return {
    bucket: tryDecodeUri(relativePath.slice(0, slash)),
    key: tryDecodeUri(relativePath.slice(slash + 1)),
  };
}

/** `acme.s3.us-east-1.amazonaws.com`, `acme.localhost:4566`; addresses and plain names are the endpoint itself. */
function bucketOfHost(host: string): string | undefined {
  const name = host.replace(/:\d+$/, '');
  // No name of DNS is longer, and for one that is the pattern below would take its time.
  if (name.length > 253) return undefined;
  return (
    /^(.+)\.s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?$/.exec(name)?.[1] ??
    /^(.+?)(?:\.s3)?\.localhost$/.exec(name)?.[1]
  );
}

function tryDecodeUri(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
