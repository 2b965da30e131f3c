import http, { type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { KubeConfig } from "@kubernetes/client-node";
import type { Fact } from "./fact.ts";

/** How to reach a cluster: the same values that the Pulumi provider gets. */
export interface Access {
  readonly context: string;
}

export interface Call {
  readonly query?: Readonly<Record<string, string>>;
  /** Media type of the answer. Default: JSON. */
  readonly accept?: string;
}

/** The few calls that readers make. Answers are the API server's JSON as it is. */
export interface Client {
  get<T>(path: string, call?: Call): Promise<T>;
  /** An answer that is no JSON. */
  text(path: string, call?: Call): Promise<string>;
  /** All items of a list, page by page. */
  list<T>(path: string, call?: Call): Promise<T[]>;
  /** Sends an object. Readers do it only for reviews and dry runs, which leave nothing behind. */
  post<T>(path: string, body: object, call?: Call): Promise<T>;
  /** Ends what is still under way. */
  close(): void;
}

/** The API server answered, but not with what was asked for. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Seconds after which a read gives up; the other reads go on beside it. */
export const patienceSeconds = 10;

/** Connections at once: enough to be quick, too few to be noticed. */
const connections = 16;

/** Times that a busy API server is asked. */
const mostAttempts = 3;

/** Items of one page. */
const pageSize = 500;

/** A client for the context. @throws {Error} If the kubeconfig or the context is missing. */
export function connect({ context }: Access): Client {
  const config = new KubeConfig();
  config.loadFromDefault();
  const contexts = config.getContexts().map(({ name }) => name);
  if (!contexts.includes(context)) {
    const from = process.env["KUBECONFIG"] ?? "~/.kube/config";
    throw new Error(`no context "${context}" in ${from} (there: ${contexts.join(", ") || "none"})`);
  }
  config.setCurrentContext(context);
  return new ContextClient(config);
}

class ContextClient implements Client {
  readonly #server: string;
  /** Without encryption only to a `kubectl proxy` and the like, and only where the context says so. */
  readonly #protocol: typeof http | typeof https;
  /** Certificates, tokens and proxy of the context; a token may come from a program, so it is asked for once. */
  readonly #options: Promise<https.RequestOptions>;
  readonly #ended = new AbortController();

  constructor(config: KubeConfig) {
    this.#server = config.getCurrentCluster()?.server.replace(/\/$/, "") ?? "";
    this.#protocol = this.#server.startsWith("http:") ? http : https;
    this.#options = withOneAgent(config);
    // Every read reports it.
    this.#options.catch(() => undefined);
  }

  async get<T>(path: string, call: Call = {}): Promise<T> {
    return JSON.parse(await this.#send(path, call)) as T;
  }

  text(path: string, call: Call = {}): Promise<string> {
    return this.#send(path, { accept: "*/*", ...call });
  }

  async post<T>(path: string, body: object, call: Call = {}): Promise<T> {
    return JSON.parse(await this.#send(path, call, JSON.stringify(body))) as T;
  }

  async list<T>(path: string, { query, ...call }: Call = {}): Promise<T[]> {
    const items: T[] = [];
    let next: string | undefined;
    do {
      const page: Page<T> = await this.get(path, {
        ...call,
        query: { ...query, limit: String(pageSize), ...(next ? { continue: next } : {}) },
      });
      // Go writes an empty list as null where it was never made.
      items.push(...(page.items ?? []));
      next = page.metadata?.continue;
    } while (next);
    return items;
  }

  close(): void {
    this.#ended.abort();
  }

  async #send(path: string, call: Call, body?: string): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const { status, text } = await this.#exchange(path, call, body);
      if (status >= 200 && status < 300) return text;
      // A busy API server asks to come again; the time limit of the read goes on.
      if (status !== 429 || attempt === mostAttempts) throw new ApiError(status, messageOf(text));
      await pause(1000 * attempt, undefined, { signal: this.#ended.signal });
    }
  }

  async #exchange(path: string, call: Call, body?: string): Promise<Answer> {
    const options = await this.#options;
    // The client makes an object of them, never a list.
    const headers = options.headers as OutgoingHttpHeaders | undefined;
    const query = call.query ? `?${new URLSearchParams(call.query).toString()}` : "";
    return new Promise((resolve, reject) => {
      const request = this.#protocol.request(
        `${this.#server}${path}${query}`,
        {
          ...options,
          method: body === undefined ? "GET" : "POST",
          signal: this.#ended.signal,
          headers: {
            ...headers,
            accept: call.accept ?? "application/json",
            ...(body === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
          },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(parts).toString("utf8");
            resolve({ status: response.statusCode ?? 0, text });
          });
        },
      );
      request.on("error", reject);
      request.end(body);
    });
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Page<T> {
  readonly metadata?: { readonly continue?: string };
  readonly items?: T[] | null;
}

/** The context's own agent makes a connection for each request; only one that leads through a proxy is kept. */
async function withOneAgent(config: KubeConfig): Promise<https.RequestOptions> {
  const options: https.RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const cluster = config.getCurrentCluster();
  if (cluster?.proxyUrl !== undefined) return options;
  const limits = { keepAlive: true, maxSockets: connections };
  if (cluster?.server.startsWith("http:")) return { ...options, agent: new http.Agent(limits) };
  // Certificates are among the options of each request; the agent tells connections apart by them.
  return { ...options, agent: new https.Agent(limits) };
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}

/** Makes one read a fact: an answer, or the reason why it failed. */
export async function read<T>(request: () => Promise<T>): Promise<Fact<T>> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${patienceSeconds} s`));
    }, patienceSeconds * 1000);
  });
  try {
    return { known: true, value: await Promise.race([request(), patience]) };
  } catch (error) {
    return { known: false, reason: reasonOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** The answer, or undefined where the object, its namespace or its kind is not there. */
export async function ifThere<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return undefined;
    throw error;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof ApiError) {
    if (error.code === 401) return "the API server does not know this user (401)";
    if (error.code === 403) return "this user may not read it (403)";
    return `the API server answered ${error.code}`;
  }
  return error instanceof Error ? error.message : String(error);
}
