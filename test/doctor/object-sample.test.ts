import {
  GetObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import type { Aws } from '../../src/core/resource.ts';
import { sampleObjects } from '../../src/facts/object-sample.ts';

/**
 * S3 API Reference, "ListObjectVersions": a truncated response has NextKeyMarker and NextVersionIdMarker, from which the
 * next request continues. Versions and delete markers count together toward MaxKeys.
 */

type Page = Partial<ListObjectVersionsCommandOutput>;

const LOCATION = { region: 'us-east-1' };

const version = (Key: string, day: number) => ({
  Key,
  VersionId: `${Key}-1`,
  LastModified: new Date(Date.UTC(2026, 10, day)),
});

/** An AWS that returns these pages by prefix and key marker, and records the listings. */
function awsWithPages(pages: Record<string, Page>, missing: string[] = []) {
  const listings: string[] = [];
  const aws = {
    accountId: async () => '111122223333',
    send: async (_: unknown, command: { input: { Key?: string } }) => {
      if (command instanceof ListObjectVersionsCommand) {
        const { Prefix, KeyMarker = '', VersionIdMarker = '' } = command.input;
        const name = [Prefix, KeyMarker, VersionIdMarker].join('|');
        listings.push(name);
        return pages[name] ?? {};
      }
      if (missing.includes(command.input.Key ?? ''))
        throw Object.assign(new Error('NotFound'), { $metadata: { httpStatusCode: 404 } });
      return { ReplicationStatus: 'COMPLETED' };
    },
  };
  return { aws: aws as unknown as Aws, listings };
}

const keysOf = ({ objects }: Awaited<ReturnType<typeof sampleObjects>>) => objects.map(({ key }) => key);
const sample = (aws: Aws, prefixes: string[], size = { count: 2, pages: 3 }) =>
  sampleObjects(aws, LOCATION, 'acme-tax', prefixes, size);

const PAGES: Record<string, Page> = {
  '||': {
    IsTruncated: true,
    NextKeyMarker: 'b',
    NextVersionIdMarker: 'b-1',
    Versions: [version('a', 3), version('b', 1)],
  },
  '|b|b-1': { Versions: [version('c', 2)], DeleteMarkers: [{ Key: 'd' }] },
};

test('sampleObjects: returns the newest of all pages, and continues after the last version of a page', async () => {
  const { aws, listings } = awsWithPages(PAGES);
  const result = await sample(aws, ['']);
  expect(keysOf(result)).toEqual(['a', 'c']);
  expect(result.coverage).toEqual({ listed: 4, complete: true });
  expect(listings).toEqual(['||', '|b|b-1']);
});

test('sampleObjects: one page of a longer listing is incomplete coverage', async () => {
  const { aws, listings } = awsWithPages(PAGES);
  const result = await sample(aws, [''], { count: 2, pages: 1 });
  expect(keysOf(result)).toEqual(['a', 'b']);
  expect(result.coverage).toEqual({ listed: 2, complete: false });
  expect(listings).toEqual(['||']);
});

test('sampleObjects: does not list a prefix again that the complete listing of a shorter prefix covers', async () => {
  const { aws, listings } = awsWithPages(PAGES);
  expect((await sample(aws, ['c', '', 'a'])).coverage).toEqual({ listed: 4, complete: true });
  expect(listings).toEqual(['||', '|b|b-1']);
});

test('sampleObjects: lists a prefix that the incomplete listing of a shorter prefix may not reach, and each version once', async () => {
  const { aws, listings } = awsWithPages({ ...PAGES, 'a||': { Versions: [version('a', 3)] } });
  const result = await sample(aws, ['', 'a', 'z'], { count: 3, pages: 1 });
  expect(keysOf(result)).toEqual(['a', 'b']);
  expect(result.coverage.complete).toBe(false);
  expect(listings).toEqual(['||', 'a||', 'z||']);
});

test('sampleObjects: a truncated page without a marker ends the listing, and is incomplete', async () => {
  const { aws, listings } = awsWithPages({ '||': { IsTruncated: true, Versions: [version('a', 1)] } });
  expect((await sample(aws, [''])).coverage).toEqual({ listed: 1, complete: false });
  expect(listings).toHaveLength(1);
});

test('sampleObjects: leaves out a version that was deleted after the listing', async () => {
  const { aws } = awsWithPages(PAGES, ['a']);
  expect(keysOf(await sample(aws, ['']))).toEqual(['c']);
});

describe('an object whose HEAD fails with 400, without a code', () => {
  /** Returns an AWS that responds to GET of the object with this error. */
  const awsWithError = (name: string, message: string): Aws => {
    const { aws } = awsWithPages(PAGES);
    const fail = (error: Error) => {
      throw Object.assign(error, { $metadata: { httpStatusCode: 400 } });
    };
    return {
      ...aws,
      send: (location: never, command: never) => {
        const { Key } = (command as { input: { Key?: string } }).input;
        if (Key !== 'a') return aws.send(location, command);
        return (command as object) instanceof GetObjectCommand
          ? fail(Object.assign(new Error(message), { name }))
          : fail(Object.assign(new Error('UnknownError'), { name: '400' }));
      },
    } as Aws;
  };

  // S3 User Guide, "Using server-side encryption with customer-provided keys": a request without the key fails with 400.
  test('sampleObjects: leaves out an object under SSE-C', async () => {
    const message =
      'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.';
    expect(keysOf(await sample(awsWithError('InvalidRequest', message), ['']))).toEqual(['c']);
  });

  // S3 API Reference, "Error responses": ExpiredToken is 400.
  test('sampleObjects: fails with any other cause, such as an expired token', async () => {
    const expired = awsWithError('ExpiredToken', 'The provided token has expired.');
    await expect(sample(expired, [''])).rejects.toThrow('The provided token has expired.');
  });
});
