import { readFileSync } from "node:fs";
import fc from "fast-check";
import { stringify } from "yaml";
import { describe, expect, it } from "vitest";
import { experimentSchema, siteSchema } from "../../../config/json-schema.ts";
import { knownPaths } from "../../../config/load/validate.ts";
import { plan } from "../../../config/plan/plan.ts";
import { ConfigError } from "../../../config/problem.ts";
import { experiment } from "../../../config/schema/experiment.ts";
import { site } from "../../../config/schema/site.ts";
import { ConfigFolder, projectRoot } from "../../support/settings.ts";

/** The input contract of the original system, key by key. */
const contract = `
model: model_path served_model_name
data: data_dir train_index val_index
infrastructure: node0_ip nnodes ngpus_per_node ray_port ray_dashboard_port litellm_port vllm_logging_level anthropic_api_key
environment: venv_path
k8s: kubeconfig namespace pod_startup_timeout pod_active_deadline_seconds
vllm: gen_tp max_model_length gpu_memory_utilization enforce_eager max_num_seqs dtype enable_chunked_prefill
training: train_batch_size val_batch_size n_resp_per_prompt train_prompt_mini_batch_size max_prompt_length max_response_length sp_size ref_offload actor_offload use_dynamic_bsz total_epochs test_freq save_freq val_before_train
algorithm: adv_estimator policy_loss_mode learning_rate use_kl_loss kl_loss_coef kl_loss_type clip_ratio_low clip_ratio_high entropy_coeff loss_agg_mode temperature top_p top_k val_temperature val_top_p val_top_k
harbor_agent: agent_name agent_import_path runtime_image runtime_mount_path runtime_image_subpath max_iterations max_retries max_timeout_sec override_timeout_sec disable_tool_calls verifier_enabled environment_delete temperature pod_name_prefix agent_setup_timeout_multiplier agent_timeout_multiplier verifier_timeout_multiplier environment_build_timeout_multiplier environment_type environment_import_path environment_force_build environment_override_cpus environment_override_memory_mb max_consecutive_no_tool host_path_mounts docker_host
harbor_runtime: num_workers tail_kill_target tail_kill_grace_sec tail_kill_min_tasks
experiment: project_name exp_name trials_dir trajectory_logger_src
credentials: wandb_api_key wandb_mode
`
  .trim()
  .split("\n")
  .flatMap((line) => {
    const [section = "", keys = ""] = line.split(": ");
    return keys.split(" ").map((key) => `${section}.${key}`);
  });

describe("the schema", () => {
  it("knows every key of the input contract", () => {
    const known = new Set(knownPaths(experiment).map((path) => path.join(".")));
    expect(contract.filter((key) => !known.has(key))).toEqual([]);
  });

  it.each([
    ["experiment", experiment],
    ["site", site],
  ])("describes every key of the %s", (_name, schema) => {
    const undescribed: string[] = [];
    const visit = (node: JsonSchema, path: string) => {
      for (const [key, value] of Object.entries(node.properties ?? {})) {
        if (value.description === undefined && value.const === undefined)
          undescribed.push(`${path}${key}`);
        visit(value, `${path}${key}.`);
      }
      for (const branch of [...(node.anyOf ?? []), ...(node.oneOf ?? [])]) visit(branch, path);
      if (node.items) visit(node.items, `${path}[].`);
    };
    visit(schema.toJSONSchema({ io: "input" }) as JsonSchema, "");
    expect(undescribed).toEqual([]);
  });

  it.each([
    ["config/schema.json", experimentSchema],
    ["config/site.schema.json", siteSchema],
  ])("%s is what `npm run schema` writes", (file, schema) => {
    expect(JSON.parse(readFileSync(`${projectRoot}/${file}`, "utf8"))).toEqual(schema());
  });
});

describe("whatever stands in a file", () => {
  const sections = Object.keys(experiment.shape);
  const keys = knownPaths(experiment).flatMap((path) =>
    path.length === 2 ? [String(path[1])] : [],
  );
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom("", null, -1, 0, 1e308, "x".repeat(300), "${x}", [], {}, [[]], "/a/../b"),
  );
  const file = fc.dictionary(
    fc.oneof(fc.constantFrom(...sections, "extends", "meta_info", "runtime_info"), fc.string()),
    fc.oneof(anything, fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), anything)),
    { maxKeys: 6 },
  );

  it("yields settings or located problems, never another error", () => {
    using folder = new ConfigFolder();
    fc.assert(
      fc.property(file, (content) => {
        folder.write("run.yaml", stringify({ extends: "single-node.yaml", ...content }));
        try {
          plan(folder.load().settings);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          for (const { location } of (error as ConfigError).problems)
            expect(location).toBeDefined();
        }
      }),
      { numRuns: 150 },
    );
  });
});

interface JsonSchema {
  description?: string;
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  items?: JsonSchema;
}
