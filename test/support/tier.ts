import type { Settings } from "../../config/load/load.ts";
import { type Attempts, noAttempts } from "../../plan/attempts.ts";
import type { Plan } from "../../plan/plan.ts";
import { clusterOf, judge, settingsWith } from "./settings.ts";
import { type Recording, record } from "./recorder.ts";

interface Recorded {
  readonly preview?: boolean;
  readonly secrets?: Record<string, string>;
  readonly stack?: string;
  readonly known?: {
    unproven?: string | undefined;
    network?: string;
    identity?: string;
    attempts?: Attempts;
    builderAbsent?: boolean;
  };
}

/** Records a whole tier. Program modules are imported only after the mocks are there. */
export async function recordTier(
  yaml = "",
  options: Recorded & { site?: object; base?: string } = {},
): Promise<{ recording: Recording; plan: Plan }> {
  const { settings } = settingsWith(yaml, {
    base: options.base ?? "single-node",
    ...(options.stack === undefined ? {} : { stack: options.stack, experiment: "run" }),
  });
  return recordSettings({ ...settings, site: { ...settings.site, ...options.site } }, options);
}

/** Records the tier that some settings give. */
export async function recordSettings(
  settings: Settings,
  options: Recorded = {},
): Promise<{ recording: Recording; plan: Plan }> {
  const result = judge(settings);
  if (result.problems.length > 0) throw new Error(JSON.stringify(result.problems));
  const pulumi = await import("@pulumi/pulumi");
  const secrets = Object.fromEntries(
    Object.entries(options.secrets ?? {}).map(([name, value]) => [name, pulumi.secret(value)]),
  );
  const recording = await record(async () => {
    const { connect, provisionCluster } = await import("../../stacks/kubernetes.ts");
    return provisionCluster(
      result.plan,
      connect(clusterOf(settings), {
        unproven: proofOf(result.plan),
        network: "",
        identity: undefined,
        attempts: noAttempts,
        builderAbsent: false,
        ...options.known,
      }),
      secrets,
    );
  }, options);
  return { recording, plan: result.plan };
}

/** The lab's site does without a proof; another runs it. */
function proofOf({ isolation }: Plan): string | undefined {
  return isolation.requireProof ? undefined : "unproven: isolation.require_proof is false";
}
