/** HTTP requests with a timeout for silence. Hosts that do not answer are not tried again. */
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { interruption } from "../interrupt.ts";

/** A download failed; another source may work. */
export class DownloadFailed extends Error {
  override readonly name = "DownloadFailed";
}

export class Network {
  readonly #patience: number;
  readonly #silent = new Map<string, string>();

  /** @param patience Milliseconds without a byte after which a download fails. */
  constructor(patience = 10_000) {
    this.#patience = patience;
  }

  /** Contacts all hosts at once, so that a machine without a network waits once and not per download. */
  async probe(urls: readonly string[]): Promise<void> {
    const origins = new Set(urls.map((url) => new URL(url).origin));
    await Promise.all(
      Array.from(origins, async (origin) => {
        try {
          const { response, done } = await this.#request(origin, { method: "HEAD" });
          await response.body?.cancel();
          done();
        } catch (error) {
          if (!(error instanceof DownloadFailed)) throw error;
        }
      }),
    );
  }

  /** Hosts that did not answer in this run. */
  get silentHosts(): string[] {
    return [...this.#silent.keys()];
  }

  /** Whether the host of a URL did not answer before. */
  isSilent(url: string): boolean {
    return this.#silent.has(new URL(url).host);
  }

  /** @throws {DownloadFailed} */
  async text(url: string, headers: Record<string, string> = {}): Promise<string> {
    const { response, alive, done } = await this.#answer(url, headers);
    try {
      const decoder = new TextDecoder();
      let text = "";
      for await (const chunk of bytesOf(response)) {
        alive();
        text += decoder.decode(chunk, { stream: true });
      }
      return text;
    } catch (error) {
      throw this.#failure(url, error);
    } finally {
      done();
    }
  }

  /** @throws {DownloadFailed} */
  async save(url: string, file: string, headers: Record<string, string> = {}): Promise<void> {
    const { response, alive, done } = await this.#answer(url, headers);
    try {
      const body = Readable.from(bytesOf(response), { objectMode: false });
      body.on("data", alive);
      await pipeline(body, createWriteStream(file));
    } catch (error) {
      throw this.#failure(url, error);
    } finally {
      done();
    }
  }

  /** The response without its body, even if it is an HTTP error. */
  async head(url: string, headers: Record<string, string> = {}): Promise<Response> {
    const { response, done } = await this.#request(url, { headers });
    await response.body?.cancel();
    done();
    return response;
  }

  async #answer(url: string, headers: Record<string, string>): Promise<Answer> {
    const answer = await this.#request(url, { headers });
    if (answer.response.ok) return answer;
    answer.done();
    await answer.response.body?.cancel();
    throw new DownloadFailed(`${url} answers ${answer.response.status}`);
  }

  async #request(url: string, init: RequestInit): Promise<Answer> {
    const known = this.#silent.get(new URL(url).host);
    if (known !== undefined) throw new DownloadFailed(known);
    const silence = new AbortController();
    const timer = setTimeout(() => {
      silence.abort(new DownloadFailed(`no answer from ${new URL(url).host}`));
    }, this.#patience);
    const signal = AbortSignal.any([silence.signal, interruption]);
    try {
      const response = await fetch(url, { ...init, signal });
      return {
        response,
        alive: () => timer.refresh(),
        done: () => {
          clearTimeout(timer);
        },
      };
    } catch (error) {
      clearTimeout(timer);
      throw this.#failure(url, error);
    }
  }

  #failure(url: string, error: unknown): unknown {
    if (interruption.aborted) return interruption.reason;
    const { host } = new URL(url);
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why =
      cause instanceof DownloadFailed
        ? cause.message
        : `${host} cannot be reached (${cause instanceof Error ? cause.message : String(cause)})`;
    this.#silent.set(host, why);
    return new DownloadFailed(why);
  }
}

interface Answer {
  readonly response: Response;
  /** Restarts the timeout; called for each chunk. */
  readonly alive: () => void;
  readonly done: () => void;
}

async function* bytesOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (part?.value === undefined) return;
    yield part.value as Uint8Array;
  }
}
