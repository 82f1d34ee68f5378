import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';
import { createRawClient, elementsOf, type SendRequest } from './raw-request.ts';

/** Lists over plain HTTP; see wire-xml.test.ts for the sources of facts. */

let sandbox: Sandbox;
let send: SendRequest;
beforeEach(async () => {
  sandbox = await startSandbox();
  send = createRawClient(sandbox.endpoint);
  await send('PUT', '/acme-tax');
});
afterEach(() => sandbox.close());

const put = (path: string) => send('PUT', `/acme-tax/${path}`, { body: 'a' });
const list = async (query: string) => {
  const response = await send('GET', `/acme-tax?${query}`);
  return { ...response, elements: (name: string) => elementsOf(response.text, name) };
};

describe('lists of objects', () => {
  // facts: localstack/s3.list_objects_v2/test_list_objects_v2_with_prefix (no Owner), S3 API Reference, fetch-owner
  test('ListObjectsV2: returns the owner only with fetch-owner', async () => {
    await put('a');
    expect((await list('list-type=2')).elements('Owner')).toEqual([]);
    expect((await list('list-type=2&fetch-owner=false')).elements('Owner')).toEqual([]);
    expect((await list('list-type=2&fetch-owner=true')).elements('Owner')).toHaveLength(1);
    // fact: localstack/s3.list_objects/test_list_objects_next_marker
    expect((await list('')).elements('Owner')).toHaveLength(1);
  });

  // fact: localstack/s3.list_objects_v2/test_region_header_exists
  test('lists: contain the Region of the bucket as header', async () => {
    for (const query of ['', 'list-type=2'])
      expect((await list(query)).headers['x-amz-bucket-region']).toBe('us-east-1');
  });

  // S3 API Reference, ListObjectsV2, encoding-type: test_file(3).png appears as test_file%283%29.png; and the response
  // elements that it names: Delimiter, Prefix, Key, StartAfter; ListObjects: Delimiter, Marker, Prefix, NextMarker, Key.
  test('encoding-type=url: encodes keys and the other texts of the request', async () => {
    await put('test_file%283%29.png');
    await put('x%20y/z%2B%7E%01');
    const v2 = await list('list-type=2&encoding-type=url&start-after=%20%28');
    expect(v2.elements('Key')).toEqual(['test_file%283%29.png', 'x+y/z%2B%7E%01']);
    expect(v2.elements('StartAfter')).toEqual(['+%28']);
    expect(v2.elements('EncodingType')).toEqual(['url']);
    const v1 = await list('encoding-type=url&delimiter=/&marker=%20%28&max-keys=1&prefix=test%5Ffile%28');
    expect(v1.elements('Marker')).toEqual(['+%28']);
    expect(v1.elements('Prefix')).toEqual(['test_file%28']);
    const truncated = await list('encoding-type=url&delimiter=/&max-keys=1');
    expect(truncated.elements('NextMarker')).toEqual(['test_file%283%29.png']);
    const versions = await list('versions&encoding-type=url&key-marker=test%5Ffile%28&delimiter=%2F');
    expect(versions.elements('KeyMarker')).toEqual(['test_file%28']);
    expect(versions.elements('CommonPrefixes')).toEqual(['<Prefix>x+y/</Prefix>']);
  });

  // fact: localstack/s3.list_objects/test_list_objects_with_prefix[%2F]: Delimiter %2F, decoded and encoded again
  test('encoding-type=url: encodes a delimiter that contains a percent sign', async () => {
    expect((await list('encoding-type=url&delimiter=%252F')).elements('Delimiter')).toEqual(['%252F']);
  });

  test('without encoding-type: writes a control character as character reference', async () => {
    await put('a%01b');
    expect((await list('list-type=2')).elements('Key')).toEqual(['a&#x1;b']);
  });

  // fact: localstack/s3.list_objects/test_list_objects_next_marker#list-objects-rest: no NextMarker without a delimiter
  test('ListObjects: returns NextMarker only with a delimiter', async () => {
    await put('a');
    await put('b');
    expect((await list('max-keys=1')).elements('NextMarker')).toEqual([]);
    expect((await list('max-keys=1&delimiter=%2F')).elements('NextMarker')).toEqual(['a']);
  });

  // fact: localstack/s3.list_object_versions/test_list_object_versions_pagination_common_prefixes
  test('ListObjectVersions: continues after a common prefix, which has no version', async () => {
    for (const key of [
      'folder/aSubfolder/subFile1',
      'folder/aSubfolder/subFile2',
      'folder/file1',
      'folder/file2',
    ])
      await put(key);
    const page = (query: string) => list(`versions&prefix=folder/&delimiter=/&max-keys=1${query}`);
    const start = await page('');
    expect(start.elements('CommonPrefixes')).toEqual(['<Prefix>folder/aSubfolder/</Prefix>']);
    expect(start.elements('NextKeyMarker')).toEqual(['folder/aSubfolder/']);
    expect(start.elements('NextVersionIdMarker')).toEqual([]);
    const next = await page('&key-marker=folder/aSubfolder/');
    expect(next.elements('Key')).toEqual(['folder/file1']);
    expect(next.elements('NextKeyMarker')).toEqual(['folder/file1']);
    expect(next.elements('NextVersionIdMarker')).toEqual(['null']);
    const end = await page('&key-marker=folder/file1&version-id-marker=null');
    expect(end.elements('Key')).toEqual(['folder/file2']);
    expect(end.elements('IsTruncated')).toEqual(['false']);
  });

  // S3 API Reference, ListObjectVersions, "Sample Response": versions and delete markers are one list, newest first per key.
  test('ListObjectVersions: lists versions and delete markers in one order', async () => {
    await send('PUT', '/acme-tax?versioning', {
      body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
    });
    await put('a');
    await send('DELETE', '/acme-tax/a');
    await put('a');
    await put('b');
    const { text } = await list('versions');
    expect(
      [...text.matchAll(/<(Version|DeleteMarker)>.*?<Key>(.)/gs)].map(([, name, key]) => `${name} ${key}`),
    ).toEqual(['Version a', 'DeleteMarker a', 'Version a', 'Version b']);
  });

  // S3 API Reference: up to 1,000 keys a page. With max-keys=0 S3 returns an empty page that is not truncated.
  test.each(['list-type=2', '', 'versions'])(
    'max-keys: is at most 1,000, and 0 is an empty page (%s)',
    async (query) => {
      await put('a');
      expect((await list(`${query}&max-keys=5000`)).elements('MaxKeys')).toEqual(['1000']);
      const empty = await list(`${query}&max-keys=0`);
      expect(empty.elements('Key')).toEqual([]);
      expect(empty.elements('IsTruncated')).toEqual(['false']);
      // fact: localstack/s3.list_parts/test_list_parts_empty_part_number_marker: an empty number counts as absent
      expect((await list(`${query}&max-keys=`)).elements('MaxKeys')).toEqual(['1000']);
    },
  );

  test.each([
    ['max-keys=abc', 'Provided max-keys not an integer or within integer range', 'max-keys'],
    ['max-keys=-1', 'Argument maxKeys must be an integer between 0 and 2147483647', 'maxKeys'],
    // fact: localstack/s3.list_object_versions/test_list_objects_versions_markers#list-objects-next-version-only
    [
      'versions&version-id-marker=null',
      'A version-id marker cannot be specified without a key marker.',
      'version-id-marker',
    ],
    ['encoding-type=value', 'Invalid Encoding Method specified in Request', 'encoding-type'],
    ['list-type=2&continuation-token=', 'The continuation token provided is incorrect', 'continuation-token'],
  ])('lists: return InvalidArgument for %s', async (query, message, argument) => {
    const { status, elements } = await list(query);
    expect([status, elements('Code'), elements('Message'), elements('ArgumentName')]).toEqual([
      400,
      ['InvalidArgument'],
      [message],
      [argument],
    ]);
  });
});
