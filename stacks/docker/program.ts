/** The part of the program that is for a Docker host. */
import type * as pulumi from "@pulumi/pulumi";
import type { Plan } from "../../plan/plan.ts";
import type { PreflightResult } from "../../preflight/preflight.ts";
import { preflightOutput } from "../outputs.ts";
import { connect, type DaemonSecrets } from "./host.ts";
import { provisionHost } from "./single-node.ts";

export function onDocker({
  plan,
  checked,
  user,
}: {
  plan: Plan;
  checked: PreflightResult;
  user: DaemonSecrets & { readonly wandbApiKey?: pulumi.Output<string> | undefined };
}) {
  const { dockerHost: host, ray, storage } = plan;
  if (!host) throw new Error("the Plan has no Docker host");
  const provider = connect(host, user);
  const { wandbApiKey } = user;
  const provisioned = provisionHost(plan, host, { provider, wandbApiKey, checked });
  const retained = new Set(
    storage.volumes.filter(({ removal }) => removal === "retain").map(({ name }) => name),
  );
  const docker = `docker --host ${host.host}`;
  return {
    ...plan.outputs,
    namespaces: {
      train: host.networks.train.name,
      sandbox: host.networks.sandbox.name,
    },
    proxy_url: provisioned.proxyUrl,
    ray_dashboard: `http://127.0.0.1:${ray.ports.dashboard} on the host`,
    follow: `${docker} logs --follow ${host.containers.trainer}`,
    preflight: preflightOutput(checked),
    isolation: provisioned.isolation,
    kept_on_destroy: host.mounts.flatMap((mount) =>
      "volume" in mount && mount.own && retained.has(mount.name) ? [`volume ${mount.volume}`] : [],
    ),
  };
}
