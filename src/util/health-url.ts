/**
 * Returns the URL of the health endpoint that a replikey process serves, from its command line. Returns undefined for a
 * command that serves none.
 *
 * @throws Error if the command line is not one of replikey.
 */
export function healthUrlOf(commandLine: readonly string[]): string | undefined {
  const program = commandLine.findIndex((word) => /(^|\/)(main\.js|reconcile|replikey)$/.test(word));
  if (program === -1) throw new Error(`process is not replikey: ${commandLine.join(' ')}`);
  const args = commandLine.slice(program + 1);
  if (args[0] === 'sandbox') {
    const host = optionOf(args, '--host') ?? '127.0.0.1';
    return urlOf(
      `${host.includes(':') ? `[${host}]` : host}:${optionOf(args, '--port') ?? '4566'}`,
      '/_sandbox/health',
    );
  }
  const address = optionOf(args, '--health-listen') ?? optionOf(args, '--listen');
  return address === undefined ? undefined : urlOf(address, '/healthz');
}

/** Returns the value of an option, `--listen 8080` or `--listen=8080`; the last one counts. */
function optionOf(args: readonly string[], name: string): string | undefined {
  const index = args.findLastIndex((word) => word === name || word.startsWith(`${name}=`));
  const word = args[index];
  return word === name ? args[index + 1] : word?.slice(name.length + 1);
}

/** Returns the URL for a client on the same host. Port 0 is any free port, which the command line does not tell. */
function urlOf(address: string, path: string): string | undefined {
  const [, host = '127.0.0.1', port = ''] = /^(?:(.+):)?(\d+)$/.exec(address) ?? [];
  if (Number(port) === 0) return undefined;
  const clientHost = { '0.0.0.0': '127.0.0.1', '[::]': '[::1]', '::': '[::1]' }[host] ?? host;
  return `http://${clientHost}:${port}${path}`;
}
