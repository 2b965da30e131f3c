/** Free ports on the loopback address. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { LabError } from "../problem.ts";

/** Below what Linux and macOS give to outgoing connections, so that a port is still free after a restart. */
const first = 20_000;
const last = 32_000;

/** Chosen at random, since two labs may look at the same moment. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let i = 0; i < 1000 && ports.size < count; i++) {
    const port = randomInt(first, last);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  if (ports.size < count) {
    throw new LabError(`no ${count} free ports between ${first} and ${last} on 127.0.0.1`);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  // Bound without an address too: a service of the user that listens on all addresses would get our callers.
  return (await canListen(port, "127.0.0.1")) && (await canListen(port));
}

async function canListen(port: number, host?: string): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen({ port, host, exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
