import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const SERVER = path.resolve('node_modules/yaml-language-server/bin/yaml-language-server');

/** Lines and characters count from 0, as in the language server protocol. */
export interface Position {
  line: number;
  character: number;
}

export interface Diagnostic {
  message: string;
  range: { start: Position; end: Position };
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

/** A client of the YAML language server. The server downloads nothing. */
export interface Editor extends AsyncDisposable {
  /** Opens a text as the content of a file, and returns its diagnostics. */
  open(file: string, text: string): Promise<Diagnostic[]>;
  complete(file: string, position: Position): Promise<Completion[]>;
  /** Returns the hover text. */
  hover(file: string, position: Position): Promise<string>;
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

export async function startEditor(): Promise<Editor> {
  const server = spawn(process.execPath, [SERVER, '--stdio'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const pendingRequests = new Map<number, (result: unknown) => void>();
  const pendingDiagnostics = new Map<string, (diagnostics: Diagnostic[]) => void>();
  let lastId = 0;

  const send = (message: Message) => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const request = <T>(method: string, params: unknown): Promise<T> =>
    new Promise((resolve) => {
      lastId += 1;
      pendingRequests.set(lastId, (result) => resolve(result as T));
      send({ id: lastId, method, params });
    });
  const receive = ({ id, method, params, result }: Message) => {
    if (method === 'textDocument/publishDiagnostics') {
      const { uri, diagnostics } = params as { uri: string; diagnostics: Diagnostic[] };
      pendingDiagnostics.get(uri)?.(diagnostics);
    } else if (method === 'workspace/configuration' && id !== undefined) {
      const { items } = params as { items: { section: string }[] };
      send({ id, result: items.map(({ section }) => SETTINGS[section as 'yaml'] ?? null) });
    } else if (method !== undefined && id !== undefined) {
      send({ id, result: null });
    } else if (typeof id === 'number') {
      pendingRequests.get(id)?.(result);
    }
  };
  server.stdout.on('data', parseMessages(receive));

  const uriOf = (file: string) => pathToFileURL(path.resolve(file)).href;
  const documentPosition = (file: string, position: Position) => ({
    textDocument: { uri: uriOf(file) },
    position,
  });
  await request('initialize', {
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
      const diagnostics = new Promise<Diagnostic[]>((resolve) => pendingDiagnostics.set(uri, resolve));
      send({
        method: 'textDocument/didOpen',
        params: { textDocument: { uri, languageId: 'yaml', version: 1, text } },
      });
      return diagnostics;
    },
    async complete(file, position) {
      const { items } = await request<{ items: Completion[] }>(
        'textDocument/completion',
        documentPosition(file, position),
      );
      return items;
    },
    async hover(file, position) {
      const hover = await request<{ contents: string | { value: string } } | null>(
        'textDocument/hover',
        documentPosition(file, position),
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

/** Parses messages from a stream. The header of each message contains its length. */
function parseMessages(receive: (message: Message) => void): (data: Buffer) => void {
  let buffer: Buffer = Buffer.alloc(0);
  return (data) => {
    buffer = Buffer.concat([buffer, data]);
    for (;;) {
      const head = buffer.indexOf('\r\n\r\n');
      const [, length] = /Content-Length: (\d+)/.exec(buffer.toString('ascii', 0, Math.max(head, 0))) ?? [];
      const end = head + 4 + Number(length);
      if (length === undefined || buffer.length < end) return;
      const body = buffer.toString('utf8', head + 4, end);
      buffer = buffer.subarray(end);
      receive(JSON.parse(body));
    }
  };
}
