import { noAttempts } from "../../plan/attempts.ts";
import { createServer, type Server } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Loaded, Selection } from "../../config/load/load.ts";
import type { Plan } from "../../plan/plan.ts";
import type { provisionHost } from "../../stacks/docker.ts";
import { ConfigFolder } from "./settings.ts";

type Provisioned = ReturnType<typeof provisionHost>;

/** A Docker site as its file has it, as plain data. */
export const dockerSiteYaml = `kind: docker
machine: { gpu_memory: 140Gi }
images: { training: registry.example.com/swe-rl/training:1 }
volumes:
  models: { kind: host_path, path: /srv/models, mount_path: /models }
  data: { kind: host_path, path: /srv/data, mount_path: /data }
tracking: disabled
`;

/** Settings of a shipped experiment, changed by some YAML, on a Docker site with some YAML in place of, or beside, its own. */
export function onDocker(
  experiment = "",
  {
    site = dockerSiteYaml,
    base = "single-node",
    ...selection
  }: Partial<Selection> & { site?: string; base?: string } = {},
): Loaded {
  using folder = new ConfigFolder();
  folder.write("run.yaml", `extends: ${base}.yaml\n${experiment}`);
  folder.write("sites/docker.yaml", site);
  return folder.load({ site: "docker", ...selection });
}

/** What preflight would say of a host where all is well. */
export const soundHost = {
  findings: [],
  unproven: undefined,
  network: "Docker 28.5.2",
  identity: "uid-of-this-daemon",
  builderAbsent: false,
  attempts: noAttempts,
};

/** Registers what the program would on a Docker site, by its own functions. */
export async function provisionOnDocker(plan: Plan): Promise<Provisioned> {
  const { connect } = await import("../../stacks/docker.ts");
  const { provisionHost } = await import("../../stacks/docker.ts");
  const { dockerHost: host } = plan;
  if (!host) throw new Error("no Docker host");
  const provider = connect(host, {});
  return provisionHost(plan, host, {
    provider,
    wandbApiKey: undefined,
    checked: { plan, ...soundHost },
  });
}

/** Answers that a daemon in order would give, by path; what is not there answers 404. */
export const soundDaemon: Readonly<Record<string, unknown>> = {
  "/version": { Version: "28.5.2", ApiVersion: "1.51", Os: "linux" },
  "/info": {
    Runtimes: { runc: {}, nvidia: {} },
    MemTotal: 2 ** 41,
    NCPU: 128,
    DockerRootDir: tmpdir(),
    CgroupVersion: "2",
    MemoryLimit: true,
    CpuCfsQuota: true,
    DiscoveredDevices: Array.from({ length: 8 }, (_, i) => ({ ID: `nvidia.com/gpu=${i}` })),
  },
  "/containers/json": [],
  "/networks": [{ Name: "bridge", Labels: {} }],
  "/volumes": { Volumes: null },
};

/** Something that answers on a socket as a daemon does. It shows what is asked, and nothing of Docker. */
export class FakeDaemon implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "swe-rl-daemon-"));
  readonly #server: Server;

  private constructor(answers: Readonly<Record<string, unknown>>) {
    this.#server = createServer((request, response) => {
      const path = (request.url ?? "").split("?")[0] ?? "";
      this.asked.push(`${request.method ?? ""} ${path}`);
      const found = path in answers || path.startsWith("/images/");
      response.statusCode = found ? 200 : 404;
      response.end(JSON.stringify(answers[path] ?? {}));
    });
  }

  static async start(change: Readonly<Record<string, unknown>> = {}): Promise<FakeDaemon> {
    const daemon = new FakeDaemon({ ...soundDaemon, ...change });
    await new Promise<void>((resolve) => daemon.#server.listen(daemon.socket, resolve));
    return daemon;
  }

  get socket(): string {
    return join(this.#folder, "docker.sock");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
