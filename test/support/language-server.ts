import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { projectRoot } from "./settings.ts";

export interface Position {
  readonly line: number;
  readonly character: number;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** What an editor would be told by its extension. Nothing is fetched: every schema is a file of the project. */
const settings = {
  yaml: {
    validate: true,
    hover: true,
    completion: true,
    schemaStore: { enable: false },
    kubernetesCRDStore: { enable: false },
  },
  http: { proxy: "", proxyStrictSSL: true },
};

/** The YAML language server that editors run, spoken to as an editor does. */
export class LanguageServer {
  readonly #process: ChildProcess;
  #received = Buffer.alloc(0);
  #lastId = 0;
  readonly #answers = new Map<number, (message: Message) => void>();
  readonly #diagnostics = new Map<string, (messages: string[]) => void>();

  private constructor() {
    const program = join(projectRoot, "node_modules/yaml-language-server/bin/yaml-language-server");
    this.#process = spawn(process.execPath, [program, "--stdio"], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#process.stdout?.on("data", (data: Buffer) => {
      this.#take(data);
    });
  }

  static async start(): Promise<LanguageServer> {
    const server = new LanguageServer();
    await server.#ask("initialize", {
      processId: process.pid,
      rootUri: pathToFileURL(projectRoot).href,
      capabilities: {
        workspace: { configuration: true },
        textDocument: { completion: { completionItem: { documentationFormat: ["markdown"] } } },
      },
    });
    server.#tell("initialized", {});
    server.#tell("workspace/didChangeConfiguration", { settings });
    return server;
  }

  /** Opens a file of the project with a text of its own. @returns What the editor would underline. */
  async open(file: string, text: string): Promise<string[]> {
    const uri = uriOf(file);
    const published = new Promise<string[]>((resolve) => this.#diagnostics.set(uri, resolve));
    this.#tell("textDocument/didOpen", {
      textDocument: { uri, languageId: "yaml", version: 1, text },
    });
    return published;
  }

  /** Labels that the editor would offer. */
  async complete(file: string, position: Position): Promise<string[]> {
    const result = (await this.#ask("textDocument/completion", {
      textDocument: { uri: uriOf(file) },
      position,
    })) as { items: { label: string }[] };
    return result.items.map(({ label }) => label);
  }

  /** What the editor would show of the word under the pointer. */
  async hover(file: string, position: Position): Promise<string> {
    const result = (await this.#ask("textDocument/hover", {
      textDocument: { uri: uriOf(file) },
      position,
    })) as { contents: { value: string } } | null;
    return result?.contents.value ?? "";
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, "exit");
    await this.#ask("shutdown", undefined);
    this.#tell("exit", undefined);
    await ended;
  }

  async #ask(method: string, params: unknown): Promise<unknown> {
    const id = ++this.#lastId;
    const answer = new Promise<Message>((resolve) => this.#answers.set(id, resolve));
    this.#send({ id, method, params });
    const { result, error } = await answer;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  #tell(method: string, params: unknown): void {
    this.#send({ method, params });
  }

  #send(message: Message): void {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#process.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  #take(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data]);
    for (;;) {
      const end = this.#received.indexOf("\r\n\r\n");
      const [, length] =
        /Content-Length: (\d+)/i.exec(this.#received.toString("latin1", 0, end)) ?? [];
      const from = end + 4;
      if (end < 0 || this.#received.length < from + Number(length)) return;
      const body = this.#received.toString("utf8", from, from + Number(length));
      this.#received = this.#received.subarray(from + Number(length));
      this.#handle(JSON.parse(body) as Message);
    }
  }

  #handle(message: Message): void {
    const { id, method, params } = message;
    if (method === undefined) {
      this.#answers.get(id ?? 0)?.(message);
      return;
    }
    if (method === "textDocument/publishDiagnostics") {
      const { uri, diagnostics } = params as { uri: string; diagnostics: { message: string }[] };
      this.#diagnostics.get(uri)?.(diagnostics.map((diagnostic) => diagnostic.message));
    }
    // A question of the server's.
    if (id !== undefined) this.#send({ id, result: answerTo(method, params) });
  }
}

function answerTo(method: string, params: unknown): unknown {
  if (method !== "workspace/configuration") return null;
  const { items } = params as { items: { section?: string }[] };
  return items.map(({ section }) => (settings as Record<string, unknown>)[section ?? ""] ?? null);
}

function uriOf(file: string): string {
  return pathToFileURL(join(projectRoot, file)).href;
}
