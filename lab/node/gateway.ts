/**
 * The only ways between the node's network namespace and the lab's API server: two Unix sockets, which namespaces do not
 * separate. Runs twice:
 *
 *     gateway.ts outside SOCKETS PORT    carries `SOCKETS/api` to the API server
 *     gateway.ts inside SOCKETS PORT     carries the API server's address in the namespace to `SOCKETS/api`, and what the
 *                                        API server opens to kubelet and pods (HTTP CONNECT on `SOCKETS/node`) into the namespace
 */
import { rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { pathToFileURL } from "node:url";
import { apiAddress, sockets } from "./layout.ts";

/** Joins two connections; the end or failure of one ends the other. */
function joinBoth(left: Duplex, right: Duplex): void {
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  }
}

function carry(target: () => Socket): (client: Socket) => void {
  return (client) => {
    joinBoth(client, target());
  };
}

/** A stream may end in one direction first. */
function open(
  to: { readonly host: string; readonly port: number } | { readonly path: string },
): Socket {
  return connect({ ...to, allowHalfOpen: true, noDelay: true });
}

/** Listens on a socket whose earlier owner may have been killed. */
function fresh(path: string): string {
  rmSync(path, { force: true });
  return path;
}

export function outside(folder: string, port: number): void {
  const toApi = carry(() => open({ host: "127.0.0.1", port }));
  createServer({ allowHalfOpen: true, noDelay: true }, toApi).listen(
    fresh(join(folder, sockets.toApi)),
  );
}

export function inside(folder: string, port: number): void {
  const toOutside = carry(() => open({ path: join(folder, sockets.toApi) }));
  createServer({ allowHalfOpen: true, noDelay: true }, toOutside).listen(port, apiAddress);
  const proxy = createHttpServer((_, response) => response.writeHead(405).end());
  proxy.on("connect", ({ url = "" }, client: Duplex, head) => {
    const { hostname, port } = new URL(`tcp://${url}`);
    const target = open({ host: hostname, port: Number(port) });
    target.once("error", ({ message }) => {
      client.end(`HTTP/1.1 502 ${message}\r\n\r\n`);
    });
    target.once("connect", () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      target.write(head);
      joinBoth(client, target);
    });
    client.on("error", () => target.destroy());
  });
  proxy.listen(fresh(join(folder, sockets.toNode)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [, , side, folder = "", port] = process.argv;
  (side === "inside" ? inside : outside)(folder, Number(port));
}
