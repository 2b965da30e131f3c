import type { NamespacePlan } from "../plan/network/index.ts";
import type { Plan } from "../plan/plan.ts";
import type { PreflightResult } from "../preflight/preflight.ts";
import { count, describe } from "../preflight/report.ts";
import type { Provisioned } from "./kubernetes.ts";

/** The outputs of a stack. Their names are a contract: renaming one is a breaking change. */
export function outputs(
  plan: Plan,
  {
    provisioned,
    checked,
    context,
  }: { provisioned: Provisioned; checked: PreflightResult; context: string },
) {
  const { names, ray, storage } = plan;
  const kubectl = `kubectl --context ${context} -n ${names.namespaces.train}`;
  const retained = storage.volumes.filter(({ removal }) => removal === "retain");
  return {
    ...plan.outputs,
    namespaces: Object.fromEntries(
      Object.values(plan.namespaces).flatMap((of: NamespacePlan | undefined) =>
        of ? [[of.namespaceRole, of.namespace]] : [],
      ),
    ),
    proxy_url: provisioned.proxyUrl,
    ray_dashboard: `${kubectl} port-forward svc/${names.rayHeadService} ${ray.ports.dashboard}:${ray.ports.dashboard}`,
    follow: `${kubectl} logs --follow job/${names.trainerJob}`,
    run: runOutput(checked),
    preflight: preflightOutput(checked),
    isolation: provisioned.isolation,
    kept_on_destroy: [
      ...(plan.namespaces.train.retained ? [`namespace ${names.namespaces.train}`] : []),
      ...retained.map(({ name }) => `claim ${names.namespaces.train}/${name}`),
    ],
  };
}

/** What the run had come to when the command began. */
function runOutput({ findings }: PreflightResult): string {
  return findings.find(({ id }) => id === "run-state")?.found ?? "none before this update";
}

/** The output `preflight`: counts, and what is not well, by rule. */
export function preflightOutput({ findings }: PreflightResult) {
  return {
    summary: count(findings),
    warnings: findings
      .filter(({ severity }) => severity !== "ok")
      .map((finding) => `${finding.id}: ${describe(finding)}`),
  };
}
