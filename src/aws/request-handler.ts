import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ClientRequest } from 'node:http';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { EXIT, systemErrorReason, UserError } from '../errors.ts';
import { CONCURRENCY } from './rate-limiter.ts';

export interface RequestHandlerOptions {
  /** Time limit of an attempt in milliseconds. */
  timeoutMs: number;
  /** Whether the proxy and the certificate authorities of the environment apply. */
  useEnvironment: boolean;
}

/**
 * Returns a function that creates HTTP handlers for SDK clients. They follow HTTPS_PROXY, HTTP_PROXY, ALL_PROXY,
 * NO_PROXY and AWS_CA_BUNDLE.
 *
 * @throws UserError if one of these variables is invalid.
 */
export function requestHandlerFactory({ timeoutMs, useEnvironment }: RequestHandlerOptions) {
  const options: HandlerOptions = {
    connectionTimeout: 4_000,
    // The SDK has no time limit by default.
    requestTimeout: timeoutMs,
    throwOnRequestTimeout: true,
    // The SDK's internal clients for credentials share this handler, but not the stream collector with its time limit.
    socketTimeout: timeoutMs,
  };
  const sockets = { keepAlive: true, maxSockets: CONCURRENCY.max };
  if (!useEnvironment)
    return () => new NodeHttpHandler({ ...options, httpAgent: sockets, httpsAgent: sockets });
  const ca = readCaBundle(process.env.AWS_CA_BUNDLE);
  rejectInvalidProxies(process.env);
  const agents = { ...sockets, ...(ca && { ca }) };
  return () => new ProxyingHandler(options, agents);
}

type HandlerOptions = Omit<
  NonNullable<Exclude<ConstructorParameters<typeof NodeHttpHandler>[0], (...args: never) => unknown>>,
  'httpAgent' | 'httpsAgent'
>;

interface AgentOptions {
  keepAlive: boolean;
  maxSockets: number;
  /** PEM certificates. */
  ca?: string[];
}

type HandlerRequest = Parameters<NodeHttpHandler['handle']>[0];

/** Sends each request through the proxy that the environment names for its URL, or directly. */
class ProxyingHandler extends NodeHttpHandler {
  readonly #options: HandlerOptions;
  readonly #agents: AgentOptions;
  readonly #handlersByProxy = new Map<string, NodeHttpHandler>();

  constructor(options: HandlerOptions, agents: AgentOptions) {
    super({ ...options, httpAgent: agents, httpsAgent: agents });
    this.#options = options;
    this.#agents = agents;
  }

  override handle(request: HandlerRequest, options?: Parameters<NodeHttpHandler['handle']>[1]) {
    const proxy = proxyForRequest(request);
    return proxy ? this.#handlerFor(proxy).handle(request, options) : super.handle(request, options);
  }

  override destroy(): void {
    super.destroy();
    for (const handler of this.#handlersByProxy.values()) handler.destroy();
  }

  #handlerFor(proxy: Proxy): NodeHttpHandler {
    const cached = this.#handlersByProxy.get(proxy.url.href);
    if (cached) return cached;
    const agents = {
      httpAgent: new ForwardAgent(proxy, this.#agents),
      httpsAgent: new TunnelAgent(proxy, this.#agents),
    };
    const handler = new NodeHttpHandler({ ...this.#options, ...agents });
    this.#handlersByProxy.set(proxy.url.href, handler);
    return handler;
  }
}

/** A proxy, and the variable of the environment that names it. */
interface Proxy {
  variable: string;
  url: URL;
}

const PROXY_VARIABLES = ['https', 'http', 'all'].flatMap((scheme) => [
  `${scheme}_proxy`,
  `${scheme.toUpperCase()}_PROXY`,
]);

/**
 * Returns the proxy for a request. As in curl and the AWS CLI, a name in NO_PROXY includes its subdomains, and a proxy
 * without a scheme is an HTTP proxy.
 */
function proxyForRequest({ protocol, hostname, port }: HandlerRequest): Proxy | undefined {
  const portText = port === undefined ? '' : `:${port}`;
  const labels = hostname.split('.');
  const isAddress = /^[\d.]+$/.test(hostname) || hostname.includes(':');
  const domains = isAddress ? [hostname] : labels.map((_, index) => labels.slice(index).join('.'));
  const proxies = domains.map((domain) => getProxyForUrl(`${protocol}//${domain}${portText}`));
  const [proxy = ''] = proxies;
  if (proxies.includes('')) return undefined;
  // The library adds the scheme of the request to a proxy without a scheme.
  const variable = PROXY_VARIABLES.filter(
    (name) => !name.toLowerCase().startsWith(protocol === 'https:' ? 'http_' : 'https_'),
  ).find((name) => process.env[name] === proxy || `${protocol}//${process.env[name]}` === proxy);
  return variable === undefined ? undefined : parseProxy(variable, process.env[variable] ?? '');
}

const parseProxy = (variable: string, value: string): Proxy => ({
  variable,
  url: new URL(value.includes('://') ? value : `http://${value}`),
});

/** @throws UserError for a proxy that is no URL, or has another protocol than HTTP or HTTPS. */
function rejectInvalidProxies(env: NodeJS.ProcessEnv): void {
  for (const variable of PROXY_VARIABLES) {
    const value = env[variable];
    if (!value) continue;
    const isValid =
      URL.canParse(value.includes('://') ? value : `http://${value}`) &&
      /^https?:$/.test(parseProxy(variable, value).url.protocol);
    if (isValid) continue;
    const hint = 'use the URL of an HTTP or HTTPS proxy, for example http://proxy.example.com:3128';
    throw new UserError(EXIT.failed, `invalid ${variable} "${redactUserInfo(value)}": ${hint}`);
  }
}

/** Hides the user name and the password in a URL. */
export const redactUserInfo = (url: string): string => url.replace(/^([^/]*\/\/)?.*@/, '$1***@');

/** The proxy refused a connection, or cannot be reached. */
export class ProxyError extends Error {
  override name = 'ProxyError';
  /** The code of the system error, for example ECONNREFUSED. */
  code?: string;
}

function proxyError({ variable, url }: Proxy, reason: string, cause?: unknown): ProxyError {
  const error = new ProxyError(`the proxy ${url.host} (${variable}) ${reason}`, { cause });
  const { code } = (cause ?? {}) as { code?: string };
  if (code !== undefined) error.code = code;
  return error;
}

/**
 * Returns the headers of a proxy with a user name. The URL that the agents get has none, because they print it when DEBUG
 * is set.
 */
function proxyHeaders({ url: { username, password } }: Proxy): Record<string, string> {
  if (username === '' && password === '') return {};
  const userInfo = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'Proxy-Authorization': `Basic ${Buffer.from(userInfo).toString('base64')}` };
}

const withoutUserInfo = ({ protocol, host }: URL): string => `${protocol}//${host}`;

/** Sends requests with the protocol `http:` through a proxy. */
class ForwardAgent extends HttpProxyAgent<string> {
  readonly #proxy: Proxy;

  constructor(proxy: Proxy, options: AgentOptions) {
    super(withoutUserInfo(proxy.url), { ...options, headers: proxyHeaders(proxy) });
    this.#proxy = proxy;
  }

  override isSecureEndpoint(): boolean {
    return false;
  }

  override async connect(...args: Parameters<HttpProxyAgent<string>['connect']>) {
    try {
      return await super.connect(...args);
    } catch (error) {
      throw proxyError(this.#proxy, `cannot be reached: ${(error as Error).message}`, error);
    }
  }
}

/** Sends requests with the protocol `https:` through a tunnel (CONNECT) of a proxy. */
class TunnelAgent extends HttpsProxyAgent<string> {
  readonly #proxy: Proxy;
  readonly #ca: string[] | undefined;

  constructor(proxy: Proxy, options: AgentOptions) {
    super(withoutUserInfo(proxy.url), { ...options, headers: proxyHeaders(proxy) });
    this.#proxy = proxy;
    this.#ca = options.ca;
  }

  override isSecureEndpoint(): boolean {
    return true;
  }

  override async connect(
    request: ClientRequest,
    options: Parameters<HttpsProxyAgent<string>['connect']>[1],
  ): ReturnType<HttpsProxyAgent<string>['connect']> {
    let status: number | undefined;
    request.once('proxyConnect', ({ statusCode }: { statusCode: number }) => {
      status = statusCode;
    });
    const socket = await super
      .connect(request, { ...options, ...(this.#ca && { ca: this.#ca }) } as typeof options)
      .catch((error: Error) => {
        throw proxyError(this.#proxy, `cannot be reached: ${error.message}`, error);
      });
    if (status === 200) return socket;
    // The library returns the response of the proxy as the response to the request. A proxy that answers 404 must not
    // look like a bucket that does not exist.
    socket.destroy();
    const hint = status === 407 ? '; it requires a user name and a password in its URL' : '';
    throw proxyError(this.#proxy, `refused the connection with HTTP ${status}${hint}`);
  }
}

/**
 * Returns the certificates of a file in PEM format. As in the AWS CLI, they replace the built-in ones.
 *
 * @throws UserError if the file cannot be read, or contains no valid certificate.
 */
function readCaBundle(file: string | undefined): string[] | undefined {
  if (!file) return undefined;
  const fail = (reason: string, cause?: unknown): never => {
    throw new UserError(
      EXIT.failed,
      `cannot use AWS_CA_BUNDLE (${file}): ${reason}; set it to a file with certificates in PEM format`,
      { cause },
    );
  };
  try {
    const certificates = readFileSync(file, 'utf8').match(
      /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g,
    );
    if (!certificates) return fail('it contains no certificate');
    for (const certificate of certificates) new X509Certificate(certificate);
    return certificates;
  } catch (error) {
    if (error instanceof UserError) throw error;
    return fail(systemErrorReason(error as Error), error);
  }
}
