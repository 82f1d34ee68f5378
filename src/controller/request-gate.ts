import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** Passes the requests of a connection to the HTTP server one by one. */
interface RequestGate extends Duplex {
  /** Passes the next request. Called when the client has received the response to the one before. */
  openGate(): void;
}

/**
 * Lets an HTTP server parse a request only after the response before it on the same connection. By default, Node parses
 * all requests that have arrived, and keeps a request and a response object for each. The requests that wait here are
 * bytes, and the operating system stops a client that sends more.
 *
 * @param maxHeldBytes maximum number of these bytes of all connections. A client that exceeds it is disconnected.
 * @returns a function for the handler of requests: it passes the next request of a connection.
 */
export function gateRequests(server: Server, maxHeldBytes: number): (connection: Socket) => void {
  let heldBytes = 0;
  const [acceptConnection] = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const gate = createRequestGate(socket, (change) => {
      heldBytes += change;
      return heldBytes <= maxHeldBytes;
    });
    acceptConnection?.call(server, gate);
  });
  return (connection) => (connection as unknown as RequestGate).openGate();
}

/** Creates the gate of a connection. `reserve` counts held bytes, and returns whether they are within the limit. */
function createRequestGate(socket: Socket, reserve: (change: number) => boolean): RequestGate {
  const findHeadEnd = createHeadScanner();
  let held = Buffer.alloc(0);
  let isOpen = true;

  /** Passes bytes up to the end of a request, and holds the others. */
  function pass(chunk: Buffer): void {
    const end = findHeadEnd(chunk);
    isOpen = end === -1;
    gate.push(isOpen ? chunk : chunk.subarray(0, end));
    if (!isOpen && end < chunk.length) hold(chunk.subarray(end));
  }

  function hold(chunk: Buffer): void {
    socket.pause();
    held = Buffer.concat([held, chunk]);
    if (!reserve(chunk.length)) gate.destroy();
  }

  function takeHeld(): Buffer {
    const bytes = held;
    held = Buffer.alloc(0);
    reserve(-bytes.length);
    return bytes;
  }

  const gate = new Duplex({
    read() {},
    write: (chunk, encoding, done) => void socket.write(chunk, encoding, done),
    writev(chunks, done) {
      socket.cork();
      for (const [index, { chunk, encoding }] of chunks.entries())
        socket.write(chunk, encoding, index === chunks.length - 1 ? done : undefined);
      socket.uncork();
    },
    final: (done) => void socket.end(done),
    destroy(error, done) {
      takeHeld();
      socket.destroy();
      done(error);
    },
    decodeStrings: false,
  });
  socket
    .on('data', (chunk) => (isOpen ? pass(chunk) : hold(chunk)))
    .on('end', () => gate.push(null))
    .on('timeout', () => gate.emit('timeout'))
    .on('error', () => gate.destroy())
    .on('close', () => gate.destroy());
  // The methods of a socket that the HTTP server calls.
  return Object.assign(gate, {
    setTimeout: (ms: number) => socket.setTimeout(ms),
    destroySoon() {
      gate.end(() => gate.destroy());
    },
    openGate() {
      if (gate.destroyed) return;
      isOpen = true;
      const bytes = takeHeld();
      if (bytes.length > 0) pass(bytes);
      if (held.length === 0) socket.resume();
    },
  });
}

/**
 * Returns a function that finds the end of the head of a request in consecutive chunks: the index after the first empty
 * line that follows another line, or -1. The HTTP parser decides what is valid.
 */
function createHeadScanner(): (chunk: Buffer) => number {
  let hasLine = false;
  let lineLength = 0;
  return (chunk) => {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      lineLength += end - start - (end > start && chunk[end - 1] === CARRIAGE_RETURN ? 1 : 0);
      start = end + 1;
      if (lineLength === 0 && hasLine) {
        hasLine = false;
        return start;
      }
      hasLine ||= lineLength > 0;
      lineLength = 0;
    }
    const rest = chunk.length - start;
    // A carriage return at the end may belong to the next line feed.
    lineLength += chunk.at(-1) === CARRIAGE_RETURN && rest > 0 ? rest - 1 : rest;
    return -1;
  };
}
