import { writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, type Client, connect, ifThere, read } from "../../../preflight/facts/client.ts";
import { ConfigFolder } from "../../support/settings.ts";

describe("the client", () => {
  let folder: ConfigFolder;
  let server: Server;
  let client: Client;
  let answer: RequestListener;

  beforeEach(async () => {
    folder = new ConfigFolder(false);
    server = createServer((request, response) => {
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const cluster = {
      server: `http://127.0.0.1:${port}/prefix/`,
      "insecure-skip-tls-verify": true,
    };
    const kubeconfig = join(folder.root, "kubeconfig");
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: "c", cluster }],
        users: [{ name: "u", user: { token: "secret-token", as: "somebody" } }],
        contexts: [{ name: "there", context: { cluster: "c", user: "u" } }],
      }),
    );
    vi.stubEnv("KUBECONFIG", kubeconfig);
    client = connect({ context: "there" });
  });
  afterEach(async () => {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    folder[Symbol.dispose]();
    vi.unstubAllEnvs();
  });

  it("is who the context says, and asks for every page", async () => {
    const asked: string[] = [];
    answer = ({ url = "", headers }, response) => {
      asked.push(url);
      expect(headers.authorization).toBe("Bearer secret-token");
      expect(headers["impersonate-user"]).toBe("somebody");
      const isLast = url.includes("continue");
      response.end(
        JSON.stringify(
          isLast ? { items: null, metadata: {} } : { items: [1, 2], metadata: { continue: "n/e" } },
        ),
      );
    };
    expect(await client.list("/api/v1/pods", { query: { fieldSelector: "a=b" } })).toEqual([1, 2]);
    expect(asked).toEqual([
      "/prefix/api/v1/pods?fieldSelector=a%3Db&limit=500",
      "/prefix/api/v1/pods?fieldSelector=a%3Db&limit=500&continue=n%2Fe",
    ]);
  });

  it("comes again when a busy API server asks it to", async () => {
    let asked = 0;
    answer = (_request, response) => {
      response.statusCode = ++asked === 1 ? 429 : 200;
      response.end('{"items":[]}');
    };
    expect(await client.list("/api/v1/pods")).toEqual([]);
    expect(asked).toBe(2);
  });

  it.each([
    [401, "the API server does not know this user (401)"],
    [403, "this user may not read it (403)"],
    [500, "the API server answered 500"],
  ])("tells why there is no answer: %d", async (status, reason) => {
    answer = (_request, response) => {
      response.statusCode = status;
      response.end('{"message":"etcd is away"}');
    };
    expect(await read(() => client.get("/x"))).toEqual({ known: false, reason });
    await expect(client.get("/x")).rejects.toEqual(new ApiError(status, "etcd is away"));
  });

  it("takes absence for an answer only where it is asked to", async () => {
    answer = (_request, response) => {
      response.statusCode = 404;
      response.end("not JSON");
    };
    expect(await ifThere(client.get("/x"))).toBeUndefined();
    expect((await read(() => client.get("/x"))).known).toBe(false);
  });

  it("ends what is under way when it is closed", async () => {
    answer = () => undefined;
    const waiting = read(() => client.get("/x"));
    setTimeout(() => {
      client.close();
    }, 20);
    expect((await waiting).known).toBe(false);
  });

  it("has no other context than those of the file", () => {
    const kubeconfig = join(folder.root, "kubeconfig");
    expect(() => connect({ context: "elsewhere" })).toThrow(
      `no context "elsewhere" in ${kubeconfig} (there: there)`,
    );
  });
});
