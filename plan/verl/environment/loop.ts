import type { Basis } from "../../host.ts";
import { verlToolParser } from "../tool-parsers.ts";
import { callBound, openCodeVariable } from "./agent.ts";
import { noSetting, row } from "./row.ts";
import type { EnvironmentInputs, EnvironmentVariable } from "./types.ts";

/** What our own agent loop reads besides Harbor's settings (training/src/swe_rl_training/settings.py). */
export function loopVariables(
  { experiment }: Basis,
  { scaffold, batches, sandboxes, proxy }: EnvironmentInputs,
): EnvironmentVariable[] {
  const { algorithm, model, rehearsal, sandbox } = experiment;
  const { enable, drop_reasons: reasons } = algorithm.trajectory_filter;
  const { training, validation } = sandboxes.life;
  return [
    ...row("SWE_RL_SCAFFOLD", scaffold.name, "harbor_agent.scaffold"),
    ...(proxy.mode === "litellm"
      ? [
          { name: "SWE_RL_PROXY_URL", deferred: "proxyUrl", source: noSetting } as const,
          // No sandbox gets it: the loop makes a key of it for every trial.
          { name: "SWE_RL_PROXY_KEY", secret: "sandboxKey", source: noSetting } as const,
        ]
      : [
          ...row(
            "SWE_RL_POLICY_PORTS",
            `${proxy.ports.from}-${proxy.ports.to}`,
            "harbor_runtime.num_workers",
          ),
        ]),
    // The servers of a rehearsal parse, too, where those of a run are vLLM's.
    ...(proxy.mode === "in_process" || rehearsal
      ? row(
          "SWE_RL_TOOL_PARSER",
          verlToolParser(scaffold.toolCallParser) ?? "",
          "docs/decisions.md#c-22",
        )
      : []),
    ...row("SWE_RL_AGENT_WINDOW", batches.agentWindow, callBound),
    ...row("SWE_RL_CALL_TOKENS", batches.callTokens, callBound),
    ...(scaffold.name === "opencode"
      ? openCodeVariable(model.served_model_name, batches, false)
      : []),
    ...row("SWE_RL_PARALLEL_TRIALS", sandbox.parallel_trials, "sandbox.parallel_trials"),
    ...row("SWE_RL_TRIAL_DEADLINE_SEC", training.deadline, "k8s.pod_active_deadline_seconds"),
    ...row(
      "SWE_RL_VAL_TRIAL_DEADLINE_SEC",
      validation.deadline,
      "k8s.val_pod_active_deadline_seconds",
    ),
    ...row(
      "SWE_RL_DROP_REASONS",
      enable ? reasons.join(",") : "",
      "algorithm.trajectory_filter.drop_reasons; algorithm.trajectory_filter.enable",
    ),
    // Otherwise every worker asks the internet for prices first, and waits in vain.
    ...row("LITELLM_LOCAL_MODEL_COST_MAP", true, noSetting),
  ];
}
