import type { Settings } from "../../config/load.ts";
import { plan, type Plan } from "../../config/plan/plan.ts";
import type { KubernetesSite } from "../../config/schema/site.ts";
import { settingsWith } from "./settings.ts";
import { type Recording, record } from "./recorder.ts";

/** Records a whole tier. Program modules are imported only after the mocks are there. */
export async function recordTier(
  yaml = "",
  options: {
    preview?: boolean;
    secrets?: Record<string, string>;
    site?: object;
    base?: string;
  } = {},
): Promise<{ recording: Recording; plan: Plan }> {
  const { settings } = settingsWith(yaml, { base: options.base ?? "single-node" });
  const changed = { ...settings, site: { ...settings.site, ...options.site } };
  const result = plan(changed);
  if (result.problems.length > 0) throw new Error(JSON.stringify(result.problems));
  const pulumi = await import("@pulumi/pulumi");
  const secrets = Object.fromEntries(
    Object.entries(options.secrets ?? {}).map(([name, value]) => [name, pulumi.secret(value)]),
  );
  const recording = await record(async () => {
    const { connect } = await import("../../stacks/cluster.ts");
    const { provisionTier } = await import("../../stacks/tier.ts");
    return provisionTier(result.plan, connect(clusterOf(changed)), secrets);
  }, options);
  return { recording, plan: result.plan };
}

function clusterOf({ site }: Settings): KubernetesSite {
  if (site.kind !== "kubernetes") throw new Error("the site is no cluster");
  return site;
}
