import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const SERVER = path.resolve('node_modules/yaml-language-server/bin/yaml-language-server');

/** Lines and characters count from 0, as editors and not as people count. */
export interface Place {
  line: number;
  character: number;
}

export interface Diagnostic {
  message: string;
  range: { start: Place; end: Place };
}

export interface Completion {
  label: string;
  insertText?: string;
  documentation?: string | { value: string };
}

interface Message {
  id?: number | string;
  method?: string;
  params?: unknown;
  result?: unknown;
}

/** What an editor says to the YAML language server, and what the server answers; nothing is fetched. */
export interface Editor extends AsyncDisposable {
  /** Show a text as if it stood in a file, and wait for what is wrong with it. */
  open(file: string, text: string): Promise<Diagnostic[]>;
  complete(file: string, at: Place): Promise<Completion[]>;
  /** The words beside the pointer. */
  hover(file: string, at: Place): Promise<string>;
}

const SETTINGS = {
  yaml: {
    validate: true,
    completion: true,
    hover: true,
    schemaStore: { enable: false },
    kubernetesCRDStore: { enable: false },
  },
};

export async function anEditor(): Promise<Editor> {
  const server = spawn(process.execPath, [SERVER, '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const answers = new Map<number, (result: unknown) => void>();
  const told = new Map<string, (diagnostics: Diagnostic[]) => void>();
  let last = 0;

  const send = (message: Message) => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const ask = <T>(method: string, params: unknown): Promise<T> =>
    new Promise((resolve) => {
      last += 1;
      answers.set(last, (result) => resolve(result as T));
      send({ id: last, method, params });
    });
  const receive = ({ id, method, params, result }: Message) => {
    if (method === 'textDocument/publishDiagnostics') {
      const { uri, diagnostics } = params as { uri: string; diagnostics: Diagnostic[] };
      told.get(uri)?.(diagnostics);
    } else if (method === 'workspace/configuration' && id !== undefined) {
      const { items } = params as { items: { section: string }[] };
      send({ id, result: items.map(({ section }) => SETTINGS[section as 'yaml'] ?? null) });
    } else if (method !== undefined && id !== undefined) {
      send({ id, result: null });
    } else if (typeof id === 'number') {
      answers.get(id)?.(result);
    }
  };
  server.stdout.on('data', framed(receive));

  const uriOf = (file: string) => pathToFileURL(path.resolve(file)).href;
  const at = (file: string, position: Place) => ({ textDocument: { uri: uriOf(file) }, position });
  await ask('initialize', {
    processId: process.pid,
    rootUri: pathToFileURL(path.resolve('.')).href,
    capabilities: {
      workspace: { configuration: true },
      textDocument: { hover: { contentFormat: ['plaintext'] } },
    },
  });
  send({ method: 'initialized', params: {} });
  send({ method: 'workspace/didChangeConfiguration', params: { settings: SETTINGS } });

  return {
    open(file, text) {
      const uri = uriOf(file);
      const diagnostics = new Promise<Diagnostic[]>((resolve) => told.set(uri, resolve));
      send({
        method: 'textDocument/didOpen',
        params: { textDocument: { uri, languageId: 'yaml', version: 1, text } },
      });
      return diagnostics;
    },
    async complete(file, position) {
      const { items } = await ask<{ items: Completion[] }>('textDocument/completion', at(file, position));
      return items;
    },
    async hover(file, position) {
      const hover = await ask<{ contents: string | { value: string } } | null>(
        'textDocument/hover',
        at(file, position),
      );
      const { contents = '' } = hover ?? {};
      return typeof contents === 'string' ? contents : contents.value;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.kill();
      await closed;
    },
  };
}

/** Messages out of a stream: each has a header that says how long it is. */
function framed(receive: (message: Message) => void): (data: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    for (;;) {
      const head = rest.indexOf('\r\n\r\n');
      const [, length] = /Content-Length: (\d+)/.exec(rest.toString('ascii', 0, Math.max(head, 0))) ?? [];
      const end = head + 4 + Number(length);
      if (length === undefined || rest.length < end) return;
      const body = rest.toString('utf8', head + 4, end);
      rest = rest.subarray(end);
      receive(JSON.parse(body));
    }
  };
}
