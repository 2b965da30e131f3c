/** The Docker daemon of the machine that runs Pulumi, which builds images for a cluster. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Fact } from "../facts/fact.ts";
import { type Certificates, reach } from "./engine.ts";

/** What of the shell decides which daemon it is: the same for Docker's client and the plugin. */
export type Shell = Readonly<Partial<Record<"DOCKER_HOST" | "DOCKER_CERT_PATH", string>>>;

export type BuilderFact =
  | { readonly version: string }
  /** Why nothing can be built. */
  | { readonly absent: string };

const machine = { home: homedir(), usual: "/var/run/docker.sock" };

export async function readBuilder(
  shell: Shell = process.env,
  sockets: typeof machine = machine,
): Promise<Fact<BuilderFact>> {
  const host = shell.DOCKER_HOST ?? `unix://${socketOf(sockets)}`;
  if (!/^(unix|tcp):/.test(host)) {
    return { known: false, reason: `DOCKER_HOST is ${host}, which only the plugin can reach` };
  }
  try {
    const certificates = certificatesIn(shell.DOCKER_CERT_PATH);
    const answer = await reach({ host, certificates });
    const value = answer.known ? { version: versionOf(answer.value) } : { absent: answer.reason };
    return { known: true, value };
  } catch (error) {
    return { known: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Docker Desktop has a socket of the user's own. */
function socketOf({ home, usual }: typeof machine): string {
  const own = [".docker/run/docker.sock", ".docker/desktop/docker.sock"].map((path) =>
    join(home, path),
  );
  return [usual, ...own].find((path) => existsSync(path)) ?? usual;
}

function certificatesIn(folder: string | undefined): Certificates | undefined {
  if (folder === undefined) return undefined;
  const read = (file: string) => readFileSync(join(folder, file), "utf8");
  return { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") };
}

function versionOf(body: unknown): string {
  const version = (body as { Version?: unknown } | null)?.Version;
  return typeof version === "string" ? version : "of unknown version";
}
