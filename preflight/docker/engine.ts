/** The Docker Engine API, as far as preflight reads it. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Fact } from "../facts/fact.ts";

/** Client certificates of a daemon behind TLS, in PEM. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface Daemon {
  readonly host: string;
  readonly certificates: Certificates | undefined;
}

/** Seconds that the daemon may take for its first answer (C-31). */
const reachSeconds = 2;
const patienceSeconds = 15;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Reads one path of the API; 404 is an answer too: undefined. */
export async function get(
  daemon: Daemon,
  path: string,
  seconds = patienceSeconds,
): Promise<Fact<unknown>> {
  try {
    const { status, body } = await ask(daemon, path, seconds);
    if (status === 200) return { known: true, value: body };
    if (status === 404) return { known: true, value: undefined };
    return { known: false, reason: `the daemon answered ${status}` };
  } catch (error) {
    return { known: false, reason: reasonOf(error, daemon) };
  }
}

/** Whether there is a daemon, and of which version. */
export function reach(daemon: Daemon): Promise<Fact<unknown>> {
  return get(daemon, "/version", reachSeconds);
}

function ask(daemon: Daemon, path: string, seconds: number): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = open(daemon, path, seconds);
  request.on("error", reject);
  request.on("response", (response) => {
    const pieces: Buffer[] = [];
    response.on("error", reject);
    response.on("data", (piece: Buffer) => pieces.push(piece));
    response.on("end", () => {
      try {
        const text = Buffer.concat(pieces).toString();
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown });
      } catch {
        reject(new Error("what answers there is no Docker daemon"));
      }
    });
  });
  request.end();
  return promise;
}

function open({ host, certificates }: Daemon, path: string, seconds: number) {
  const signal = AbortSignal.timeout(seconds * 1000);
  if (host.startsWith("unix://")) {
    return httpRequest({ socketPath: host.slice("unix://".length), path, signal });
  }
  const { hostname, port } = new URL(host.replace("tcp://", "http://"));
  const address = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port), path, signal };
  return certificates ? httpsRequest({ ...address, ...certificates }) : httpRequest(address);
}

function reasonOf(error: unknown, { host }: Daemon): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as { code?: unknown }).code;
  if (error.name === "AbortError" || error.name === "TimeoutError") {
    return `nothing answers at ${host} in time`;
  }
  switch (code) {
    case "ENOENT":
      return `there is no socket at ${host}: is the daemon running?`;
    case "EACCES":
      return `this user may not use the socket at ${host}: it belongs to group docker`;
    case "ECONNREFUSED":
      return `nothing listens at ${host}`;
    default:
      return certificateProblem(String(code), error.message) ?? `${host}: ${error.message}`;
  }
}

/** What is wrong with the certificates, if that is what it is. */
function certificateProblem(code: string, message: string): string | undefined {
  if (/alert/i.test(message)) return "the daemon does not accept the client certificate dockerCert";
  if (/UNABLE_TO|SELF_SIGNED|SIGNATURE|HAS_EXPIRED|NOT_YET|ALTNAME/.test(code)) {
    const [reason = message] = message.split(";");
    return `the daemon's own certificate does not pass with dockerCa: ${reason}`;
  }
  if (/PEM|X509|ASN1|NO_START_LINE/i.test(`${code} ${message}`)) {
    return "dockerCa, dockerCert or dockerKey is no PEM file, or key and certificate do not belong together";
  }
  return undefined;
}
