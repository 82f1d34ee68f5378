import { GetObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { requestBodyOf } from '../../src/aws/command.ts';
import { attachBody } from '../../src/aws/response.ts';
import { desiredResources } from '../../src/core/desired.ts';
import { renderFrom } from '../../src/core/plan.ts';
import type { Aws } from '../../src/core/resource.ts';
import { kinds } from '../../src/kinds/index.ts';
import { s3ObjectLock } from '../../src/kinds/s3-object-lock.ts';
import { parseSpecs, TAX_SPEC } from '../support/env.ts';

const REPLICA = 'acme-tax-replica';
const ROOT = '<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">';

/** Returns the bodies that replikey writes over a document of S3. */
async function writeOver(body: string, retention: object): Promise<string[]> {
  const { pairs } = await parseSpecs(
    TAX_SPEC.replace(
      'alias/acme-tax-replica }',
      'alias/acme-tax-replica, objectLock: { mode: Governance, days: 30 } }',
    ),
  );
  const resource = desiredResources(pairs, [...kinds.values()]).find(
    ({ id }) => id === `s3.object-lock/${REPLICA}`,
  );
  if (!resource) throw new Error('no Object Lock is declared');
  const bodies: string[] = [];
  const aws = {
    accountId: async () => '111122223333',
    async send(_: unknown, command: object) {
      if (!(command instanceof GetObjectLockConfigurationCommand)) bodies.push(requestBodyOf(command) ?? '');
      const output = {
        ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention: retention } },
      };
      attachBody(output, Buffer.from(body));
      return output;
    },
  } as unknown as Aws;
  const doc = await s3ObjectLock.fetch(aws, resource.location, REPLICA);
  if (!doc) throw new Error('no document');
  const current = s3ObjectLock.parse(doc, resource as never);
  const change = renderFrom(resource, current, kinds.get('s3.object-lock') as never, () => undefined);
  await s3ObjectLock.send(aws, change as never);
  return bodies;
}

// API model of S3, PutObjectLockConfiguration (client-s3 3.1175.0): DefaultRetention has DefaultEventHold beside Mode, Days and
// Years. A write replaces the whole document.
test('s3.object-lock: keeps a default event hold, and elements that this version does not know', async () => {
  const hold = '<DefaultEventHold><Days>7</Days></DefaultEventHold>';
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n${ROOT}<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>10</Days>${hold}</DefaultRetention><NewInRule/></Rule><New a="1">x &amp; y</New></ObjectLockConfiguration>`;
  expect(await writeOver(body, { Mode: 'GOVERNANCE', Days: 10, DefaultEventHold: { Days: 7 } })).toEqual([
    `${ROOT}<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>30</Days>${hold}</DefaultRetention><NewInRule/></Rule><New a="1">x &amp; y</New></ObjectLockConfiguration>`,
  ]);
});

test('s3.object-lock: adds the default retention to a document without a rule', async () => {
  const body = `${ROOT}<ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`;
  expect(await writeOver(body, {})).toEqual([
    `${ROOT}<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>`,
  ]);
});
