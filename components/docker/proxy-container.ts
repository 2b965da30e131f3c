import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Proxy } from "../../plan/serving/index.ts";
import type { Labels } from "../metadata.ts";
import { programDirectory } from "../runtime-program.ts";
import { containerBasis, httpHealth, memoryLimit } from "./container.ts";

export interface ProxyContainerArgs {
  host: DockerHost;
  proxy: Proxy;
  labels: Labels;
  networks: { train: pulumi.Input<string>; sandbox: pulumi.Input<string> };
  masterKey: pulumi.Output<string>;
  sandboxKey: pulumi.Output<string>;
}

const configuration = `${programDirectory}/config.yaml`;

/** Any user but root will do; the image reads nothing that belongs to one. */
const user = "65532:65532";

/** LiteLLM, which alone is in both networks. */
export class ProxyContainer extends pulumi.ComponentResource {
  public readonly container: docker.Container;

  constructor(name: string, args: ProxyContainerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:ProxyContainer", name, { proxy: args.proxy }, opts);
    const { host, proxy, networks } = args;
    this.container = new docker.Container(
      name,
      {
        ...containerBasis({
          name: host.containers.proxy,
          image: proxy.image,
          app: "litellm",
          component: "proxy",
          labels: args.labels,
          command: [
            "litellm",
            "--config",
            configuration,
            "--host",
            "0.0.0.0",
            "--port",
            String(proxy.port),
          ],
          environment: {
            // Without this it looks for model prices on the internet first.
            LITELLM_LOCAL_MODEL_COST_MAP: "True",
            HOME: "/tmp",
          },
          secrets: { LITELLM_MASTER_KEY: args.masterKey, SANDBOX_API_KEY: args.sandboxKey },
          program: "litellm",
          // Beside the programs, which LiteLLM loads from there. JSON is YAML.
          files: { [configuration]: JSON.stringify(proxy.litellm, null, 2) },
        }),
        user,
        networksAdvanced: [
          { name: networks.train },
          // Sandboxes know it by its address, which therefore is fixed.
          { name: networks.sandbox, ipv4Address: host.addresses.proxy },
        ],
        // It is in both networks, and must not be a way from one into the other.
        sysctls: { "net.ipv4.ip_forward": "0" },
        ports: [{ internal: proxy.port, external: proxy.port, ip: "127.0.0.1" }],
        capabilities: { drops: ["ALL"] },
        ...memoryLimit(proxy.memoryBytes),
        tmpfs: { "/tmp": "" },
        // /health would send a completion to every rollout server; this only asks the proxy itself.
        healthcheck: httpHealth(`http://127.0.0.1:${proxy.port}/health/readiness`, {
          startSeconds: 300,
          retries: 18,
        }),
        wait: true,
        waitTimeout: 600,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.registerOutputs({ container: this.container.name });
  }
}
