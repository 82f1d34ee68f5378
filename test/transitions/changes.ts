import { readdir, readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import type { PassOptions } from '../../src/reconcile/pass.ts';
import { createKeyState } from '../../src/sandbox/kms/keys.ts';
import type { Store } from '../../src/sandbox/store.ts';
import type { Specs } from '../../src/spec/types.ts';
import { parseSpecs, TAX_SPEC } from '../support/env.ts';
import { FOREIGN_TRANSITIONS } from './foreign.ts';

/** A YAML document of a spec. */
// biome-ignore lint/suspicious/noExplicitAny: documents of specs are edited as data, like a user edits text
export type Doc = any;

/** A set of specs that an edit changes. */
export interface Topology {
  name: string;
  docs: Doc[];
}

/** An edit of specs. It changes the documents, and returns false for specs that it does not apply to. */
export interface Edit {
  /** Name of the change, and of the reverted change. */
  names: [forward: string, backward?: string];
  apply(docs: Doc[], first: Doc): boolean | undefined;
  allowedRisks?: string[];
  prune?: boolean;
  /** The state after the edit cannot be the first one: it needs what the state before created. */
  isForwardOnly?: boolean;
  /** Adds resources that exist before the first run. */
  prepare?(store: Store): void;
}

/** A transition from one state of specs to another. */
export interface Transition {
  change: string;
  topology: string;
  before: string;
  after: string;
  allowedRisks: string[];
  prune: boolean;
  /** Overrides options of all passes. */
  options?: Partial<PassOptions>;
  /** Whether the rules before the change are foreign ones, and not those of `before`. */
  hasForeignRules?: boolean;
  /** Ids of the risks for which replikey refuses the change. */
  refused?: string[];
  /** Adds resources that exist before the first run. */
  prepare?(store: Store): void;
  /** Changes the state between the first run and the change. */
  adapt?(store: Store): void;
}

export const pairsOf = (docs: Doc[]): Doc[] => docs.filter(({ kind }) => kind === 'BucketReplication');

/** Returns both sides of all pairs with a bucket. */
const sidesOf = (docs: Doc[], bucket: string): Doc[] =>
  pairsOf(docs)
    .flatMap(({ spec }) => [spec.source, spec.destination])
    .filter((side) => side.bucket === bucket);

const pairsFrom = (docs: Doc[], bucket: string): Doc[] =>
  pairsOf(docs).filter(({ spec }) => spec.source.bucket === bucket);

const aliasOf = ({ key }: Doc): string | undefined => (typeof key === 'string' ? key : key?.alias);

/** Sets fields of the key of a side. */
function setKey(side: Doc, fields: object): void {
  side.key = { ...(typeof side.key === 'string' ? { alias: side.key } : side.key), ...fields };
}

/** Moves the destination of a pair to a new bucket with its own key. */
function moveDestination({ spec }: Doc, suffix: string, fields: object = {}): boolean {
  const { destination } = spec;
  const alias = aliasOf(destination);
  if (alias === undefined) return false;
  Object.assign(destination, { bucket: `${destination.bucket}-${suffix}` }, fields);
  setKey(destination, { alias: `${alias}-${suffix}` });
  return true;
}

const KEY_ARNS = ['1', '2'].map(
  (digit) => `arn:aws:kms:us-west-2:111122223333:key/${digit.repeat(8)}-0000-4000-8000-000000000000`,
);

function createKeysByArn(store: Store): void {
  const account = store.account('111122223333');
  for (const arn of KEY_ARNS) {
    const id = arn.slice(arn.indexOf('key/') + 4);
    const requester = { account: account.id, region: 'us-west-2' };
    account.keys.set(`us-west-2/${id}`, createKeyState(requester, 0, { id, arn, visibleFrom: 0 }));
  }
}

export const EDITS: Edit[] = [
  { names: ['another destination bucket'], apply: (_, first) => moveDestination(first, 'moved') },
  {
    names: ['another destination bucket with the same key'],
    apply(_, { spec: { destination } }) {
      destination.bucket += '-moved';
      return true;
    },
  },
  {
    names: ['destination in another Region'],
    apply: (_, first) => moveDestination(first, 'ohio', { region: 'us-east-2' }),
  },
  {
    names: ['destination in another account'],
    apply: (_, first) =>
      first.spec.source.account !== undefined &&
      first.spec.destination.account !== 'audit' &&
      moveDestination(first, 'audit', { account: 'audit' }),
  },
  {
    names: ['replica key'],
    allowedRisks: ['change-default-key'],
    apply(docs, { spec: { destination } }) {
      const alias = aliasOf(destination);
      if (alias === undefined) return false;
      for (const side of sidesOf(docs, destination.bucket)) setKey(side, { alias: `${alias}-next` });
      return true;
    },
  },
  {
    names: ['replica key by ARN'],
    prepare: createKeysByArn,
    apply(docs, { spec: { destination } }) {
      if (destination.region !== 'us-west-2' || docs.some(({ kind }) => kind === 'Account')) return false;
      const isFirst = destination.key !== KEY_ARNS[0];
      destination.key = KEY_ARNS[isFirst ? 0 : 1];
      return true;
    },
  },
  {
    names: ['source key'],
    allowedRisks: ['change-default-key'],
    apply(docs, { spec: { source } }) {
      const alias = aliasOf(source);
      if (alias === undefined) return false;
      for (const pair of pairsFrom(docs, source.bucket))
        pair.spec.sourceKeys = [...new Set([...(pair.spec.sourceKeys ?? []), alias])];
      for (const side of sidesOf(docs, source.bucket)) setKey(side, { alias: `${alias}-next` });
      return true;
    },
  },
  {
    names: ['keys replaced on both sides'],
    isForwardOnly: true,
    apply(docs, { spec: { source, destination } }) {
      const aliases = [source, destination].map(aliasOf);
      if (aliases.includes(undefined)) return false;
      for (const [index, { bucket }] of [source, destination].entries())
        for (const side of sidesOf(docs, bucket))
          setKey(side, { alias: `${aliases[index]}-next`, replaces: [aliases[index]] });
      return true;
    },
  },
  {
    names: ['prefix'],
    apply(_, { spec: { rules } }) {
      rules[0].prefix = 'B/';
      return true;
    },
  },
  {
    names: ['wider prefix', 'narrower prefix'],
    apply(_, { spec: { rules } }) {
      if (rules.length > 1 || !rules[0].prefix) return false;
      rules[0].prefix = '';
      return true;
    },
  },
  {
    names: ['tags added', 'tags removed'],
    apply(_, { spec: { rules } }) {
      const [{ prefix, deleteMarkerReplication: _deletes, ...rule }] = rules;
      rules[0] = { ...rule, filter: { prefix, tags: { tier: 'gold' } } };
      return true;
    },
  },
  {
    names: ['delete markers enabled', 'delete markers disabled'],
    apply(_, { spec: { rules } }) {
      rules[0].deleteMarkerReplication = true;
      return true;
    },
  },
  {
    names: ['SSE-KMS to SSE-S3', 'SSE-S3 to SSE-KMS'],
    allowedRisks: ['change-default-encryption', 'change-default-key'],
    apply(docs, { spec: { source } }) {
      for (const side of sidesOf(docs, source.bucket)) {
        side.defaultEncryption = 'SSE-S3';
        if (typeof side.key === 'object') delete side.key.bucketKey;
      }
      for (const pair of pairsFrom(docs, source.bucket))
        for (const rule of pair.spec.rules) rule.sseKmsEncryptedObjects = false;
      return true;
    },
  },
  {
    names: ['default SSE-KMS to SSE-S3, the same rule', 'default SSE-S3 to SSE-KMS, the same rule'],
    allowedRisks: ['change-default-encryption', 'change-default-key'],
    apply(docs, { spec: { source } }) {
      for (const side of sidesOf(docs, source.bucket)) {
        side.defaultEncryption = 'SSE-S3';
        if (typeof side.key === 'object') delete side.key.bucketKey;
      }
      return true;
    },
  },
  {
    names: ['Bucket Key disabled', 'Bucket Key enabled'],
    apply(docs, { spec: { source } }) {
      if (typeof source.key === 'object' && source.key.bucketKey === false) return false;
      for (const side of sidesOf(docs, source.bucket)) setKey(side, { bucketKey: false });
      return true;
    },
  },
  {
    names: ['rule added', 'rule removed'],
    apply(_, { spec: { rules } }) {
      rules.push({ name: 'extra', prefix: 'Extra/' });
      return true;
    },
  },
  {
    names: ['rule renamed'],
    apply(_, { spec: { rules } }) {
      rules[0].name = 'renamed';
      return true;
    },
  },
  {
    names: ['rule disabled', 'rule enabled'],
    apply(_, { spec: { rules } }) {
      rules[0].enabled = false;
      return true;
    },
  },
  {
    names: ['role'],
    apply(docs, { spec: { source } }) {
      for (const pair of pairsFrom(docs, source.bucket))
        pair.spec.role = { ...pair.spec.role, name: 'replikey-other' };
      return true;
    },
  },
  {
    names: ['owner of replicas'],
    apply(docs, { spec: { source, destination } }) {
      if (source.account === undefined || source.account === destination.account) return false;
      for (const pair of pairsFrom(docs, source.bucket)) pair.spec.destination.objectOwner = 'source';
      return true;
    },
  },
  {
    names: ['pair removed', 'pair added'],
    apply(docs, first) {
      if (pairsOf(docs).length < 2) return false;
      docs.splice(docs.indexOf(first), 1);
      return true;
    },
  },
  {
    names: ['pair removed with --prune'],
    prune: true,
    allowedRisks: ['remove-pair'],
    apply(docs, first) {
      if (pairsOf(docs).length < 2) return false;
      docs.splice(docs.indexOf(first), 1);
      return true;
    },
  },
];

const EXAMPLES = 'specs/examples';

/** Returns the pair of the tutorial, and the examples. */
export async function topologies(): Promise<Topology[]> {
  const accounts = parseDocs(await readFile(`${EXAMPLES}/accounts.yaml`, 'utf8'));
  const files = (await readdir(EXAMPLES)).filter(
    (file) => file.endsWith('.yaml') && file !== 'accounts.yaml' && file !== 'defaults-and-variables.yaml',
  );
  const examples = files.sort().map(async (file): Promise<Topology> => {
    const text = await readFile(`${EXAMPLES}/${file}`, 'utf8');
    const docs = parseDocs(text);
    return {
      name: file.replace('.yaml', ''),
      docs: text.includes('account:') ? [...accounts, ...docs] : docs,
    };
  });
  return [{ name: 'one pair', docs: parseDocs(TAX_SPEC) }, ...(await Promise.all(examples))];
}

const parseDocs = (text: string): Doc[] => parseAllDocuments(text).map((doc) => doc.toJS());

/** Returns documents as YAML: JSON is YAML. */
export const toYaml = (docs: readonly Doc[]): string =>
  docs.map((doc) => JSON.stringify(doc)).join('\n---\n');

/** Returns the documents of an edit. Undefined if it does not apply. */
export function edited(docs: readonly Doc[], edit: Edit, times = 1): Doc[] | undefined {
  const copy = structuredClone([...docs]);
  for (let count = 0; count < times; count++) {
    const [first] = pairsOf(copy);
    if (first === undefined || !edit.apply(copy, first)) return undefined;
  }
  return copy;
}

const isValid = async (yaml: string): Promise<boolean> =>
  parseSpecs(yaml).then(
    () => true,
    () => false,
  );

export const specsOf = (yaml: string): Promise<Specs> => parseSpecs(yaml);

/** Returns every transition by one edit, in both directions, that the topologies allow. */
export async function allTransitions(): Promise<Transition[]> {
  const transitions: Transition[] = [];
  for (const { name: topology, docs } of await topologies()) {
    for (const edit of EDITS) {
      const from = edit.prepare ? edited(docs, edit) : [...docs];
      const to = edited(docs, edit, edit.prepare ? 2 : 1);
      if (!from || !to) continue;
      const [before, after] = [toYaml(withPolicy(from, edit)), toYaml(withPolicy(to, edit))];
      if (!(await isValid(before)) || !(await isValid(after))) continue;
      const [forward, backward = forward] = edit.names;
      const common = {
        topology,
        allowedRisks: edit.allowedRisks ?? [],
        prune: edit.prune ?? false,
        ...(edit.prepare && { prepare: edit.prepare }),
      };
      transitions.push({ change: forward, before, after, ...common });
      if (!edit.prune && !edit.isForwardOnly)
        transitions.push({ change: backward, before: after, after: before, ...common });
    }
  }
  return [...transitions, ...FOREIGN_TRANSITIONS];
}

/** Lets --prune remove what the specs leave behind. */
const withPolicy = (docs: readonly Doc[], { prune }: Edit): Doc[] =>
  docs.map((doc) =>
    prune && doc.kind === 'BucketReplication'
      ? { ...doc, spec: { ...doc.spec, policy: { ...doc.spec.policy, deletion: 'Remove' } } }
      : doc,
  );
