/**
 * The lab's requests to its API server: five verbs on paths. Not @kubernetes/client-node: loading it takes longer than
 * `lab env` and `lab status` take in all, and its typed calls cover neither /readyz nor YAML that is sent unparsed.
 */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { interruption } from "../interrupt.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

/** A request to the API server failed. */
export class ApiError extends LabError {
  override readonly name = "ApiError";
  /** HTTP status; 0 without an answer. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(`The lab's API server: ${message}. Repair the lab: npm run lab -- up`);
    this.status = status;
  }
}

const fieldManager = "swe-rl-lab";
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

export class Api {
  readonly #agent: Agent;
  readonly #port: number;

  constructor(paths: LabPaths, port: number) {
    const pki = join(paths.data, "pki");
    this.#port = port;
    this.#agent = new Agent({
      keepAlive: true,
      ca: readFileSync(join(pki, "ca.crt")),
      cert: readFileSync(join(pki, "admin.crt")),
      key: readFileSync(join(pki, "admin.key")),
    });
  }

  async isReady(): Promise<boolean> {
    try {
      return (await this.#call("GET", "/readyz", { timeout: 3000 })) === "ok";
    } catch {
      return false;
    }
  }

  async list<T extends KubernetesObject>(path: string): Promise<T[]> {
    return (JSON.parse(await this.#call("GET", path)) as { items: T[] }).items;
  }

  async get<T>(path: string): Promise<T | undefined> {
    try {
      return JSON.parse(await this.#call("GET", path)) as T;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Server-side apply. Sends YAML unparsed; requests only metadata as the answer, since a whole object can be large. */
  async apply(path: string, object: object | string): Promise<void> {
    const body = typeof object === "string" ? object : JSON.stringify(object);
    await this.#call("PATCH", `${path}?fieldManager=${fieldManager}&force=true`, {
      type: "application/apply-patch+yaml",
      body,
    });
  }

  async patch(path: string, change: object): Promise<void> {
    const body = JSON.stringify(change);
    await this.#call("PATCH", path, { type: "application/merge-patch+json", body });
  }

  async delete(path: string): Promise<void> {
    await this.#call("DELETE", path);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #call(
    method: string,
    path: string,
    options: {
      readonly type?: string;
      readonly body?: string;
      readonly timeout?: number;
    } = {},
  ): Promise<string> {
    const { type, body, timeout = 30_000 } = options;
    const headers = body
      ? {
          accept: metadataOnly,
          "content-type": type,
          "content-length": Buffer.byteLength(body),
        }
      : {};
    const { status, text } = await new Promise<{ status: number; text: string }>(
      (resolve, reject) => {
        const fail = (error: Error) => {
          const failure = new ApiError(`${method} ${path}: ${error.message}`, 0);
          reject(interruption.aborted ? (interruption.reason as Error) : failure);
        };
        const outgoing = request(
          {
            host: "127.0.0.1",
            port: this.#port,
            method,
            path,
            headers,
            agent: this.#agent,
            timeout,
            signal: interruption,
          },
          (response) => {
            let text = "";
            response.setEncoding("utf8");
            response.on("data", (part: string) => (text += part));
            response.on("error", fail);
            response.on("end", () => {
              resolve({ status: response.statusCode ?? 0, text });
            });
          },
        );
        outgoing.on("timeout", () => {
          outgoing.destroy(new Error(`no answer within ${timeout / 1000} s`));
        });
        outgoing.on("error", fail);
        outgoing.end(body);
      },
    );
    if (status >= 200 && status < 300) return text;
    throw new ApiError(`${method} ${path}: ${status} ${messageOf(text)}`, status);
  }
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
