/** Rules about the shares of GPUs. */
import { modelFactsOf } from "../config/schema/model-facts.ts";
import { canShareKvHeads, nodesOfTier } from "../plan/run/index.ts";
import { defineRule, noPlan } from "./rule.ts";

export const kvHeads = defineRule({
  id: "C-01",
  title: "the tensor-parallel size divides the model's KV heads",
  severity: "fatal",
  consequence: "a CUDA illegal memory access at the first forward pass",
  remedy: "choose a divisor of num_key_value_heads",
  source: "docs/decisions.md#c-01",
  *check({ settings: { modelFacts, models, experiment } }) {
    const { gen_tp: tensorParallel } = experiment.vllm;
    if (modelFacts?.kv_heads === undefined) {
      const missing = modelFacts
        ? "has no kv_heads in config/models.yaml"
        : "is not in config/models.yaml";
      yield {
        severity: "unknown",
        path: ["model", "model_path"],
        found: `${missing}, so it is unknown whether vllm.gen_tp ${tensorParallel} divides its KV heads`,
        remedy: "name its config.json with model.config_file, or add num_key_value_heads there",
      };
    } else if (!canShareKvHeads(modelFacts, modelFacts.kv_heads, tensorParallel)) {
      yield {
        path: ["vllm", "gen_tp"],
        found: `is ${tensorParallel}, which does not divide the model's ${modelFacts.kv_heads} KV heads`,
        remedy: `choose a divisor of ${modelFacts.kv_heads}`,
      };
    }
    for (const [i, frozen] of experiment.serving.entries()) {
      const facts = modelFactsOf(models, frozen.model_path);
      if (facts?.kv_heads === undefined) {
        if (frozen.gpus === 1) continue;
        yield {
          severity: "unknown",
          path: ["serving", i, "model_path"],
          found: `has no kv_heads in config/models.yaml, so it is unknown whether gpus ${frozen.gpus} divides them`,
          remedy: "look up num_key_value_heads in its config.json and add it there",
        };
      } else if (!canShareKvHeads(facts, facts.kv_heads, frozen.gpus)) {
        yield {
          path: ["serving", i, "gpus"],
          found: `is ${frozen.gpus}, which does not divide the model's ${facts.kv_heads} KV heads`,
          remedy: `choose a divisor of ${facts.kv_heads}; for more throughput, more replicas`,
        };
      }
    }
  },
});

export const rolloutServers = defineRule({
  id: "C-02",
  title: "vllm.gen_tp divides the rollout GPUs",
  severity: "fatal",
  consequence:
    "GPUs that serve nothing, and a number of rollout servers that discovery waits for in vain",
  remedy: "choose a divisor of the rollout GPUs",
  source: "docs/decisions.md#c-02",
  unwaivable: noPlan,
  *check({ plan: { topology } }) {
    const { tensorParallel, rolloutGpus, gpusPerNode } = topology;
    const path = ["vllm", "gen_tp"];
    if (rolloutGpus % tensorParallel !== 0) {
      yield {
        path,
        found: `is ${tensorParallel}, which does not divide the ${rolloutGpus} rollout GPUs`,
        consequence: `${rolloutGpus % tensorParallel} of them would serve nothing`,
        remedy: `choose a divisor of ${rolloutGpus}`,
      };
    } else if (gpusPerNode % tensorParallel !== 0) {
      yield {
        path,
        found: `is ${tensorParallel}, which does not divide the ${gpusPerNode} GPUs of a node`,
        consequence: "a rollout server would span nodes, whose second part nothing discovers",
        remedy: `choose a divisor of ${gpusPerNode}`,
      };
    }
  },
});

export const nodeSplit = defineRule({
  id: "node-split",
  spoils: "gpu pods",
  title: "nodes by role that the tier's mode has",
  severity: "fatal",
  consequence: "the run would have no use for them",
  remedy: "leave it out, or choose an asynchronous tier",
  source: "docs/decisions.md#nodes-by-role",
  unwaivable: noPlan,
  *check({ settings: { experiment }, plan: { topology } }) {
    const { rollout_nodes: rollout } = experiment.infrastructure;
    if (topology.mode !== "sync" || rollout === undefined) return;
    yield {
      path: ["infrastructure", "rollout_nodes"],
      found: `is ${rollout}, but on tier ${topology.tier} the rollout servers share the trainer's nodes`,
    };
  },
});

export const untriedNodes = defineRule({
  id: "nodes-untried",
  title: "numbers of nodes that were tried",
  severity: "warn",
  consequence: "what only such a run shows, you will see first",
  remedy: "begin with a smoke batch (smoke: true)",
  source: "docs/decisions.md#nodes-by-role",
  *check({ settings: { experiment }, plan: { topology } }) {
    const { trainer_nodes: trainer } = experiment.infrastructure;
    const { tier, mode, trainerNodes, rolloutNodes } = topology;
    const wasTried = Object.values(nodesOfTier).some(
      (tried) => tried.trainer === trainerNodes && tried.rollout === rolloutNodes,
    );
    if (wasTried) return;
    const isTrainers = trainer !== undefined && trainer !== nodesOfTier[tier].trainer;
    const nodes =
      mode === "sync"
        ? `${trainerNodes} nodes that train and serve in turn`
        : `${trainerNodes} trainer and ${rolloutNodes} rollout nodes`;
    yield {
      path: ["infrastructure", isTrainers ? "trainer_nodes" : "rollout_nodes"],
      found: `gives ${nodes}, which nobody has tried here: verl takes them, and the original system has no such run`,
    };
  },
});

export const derivedNodes = defineRule({
  id: "C-11",
  spoils: "gpu pods",
  title: "trainer nodes plus rollout nodes are the nodes of the run",
  severity: "fatal",
  consequence: "placement waits for ever, without an error",
  remedy: "leave infrastructure.nnodes out, or choose another tier",
  source: "docs/decisions.md#c-11",
  unwaivable: noPlan,
  *check({ settings: { experiment }, plan: { topology } }) {
    const { nnodes } = experiment.infrastructure;
    const { tier, mode, gpuNodes, trainerNodes, rolloutNodes } = topology;
    if (nnodes === undefined || nnodes === gpuNodes) return;
    const split =
      mode === "sync" ? "" : `: ${trainerNodes} of the trainer, ${rolloutNodes} of the rollout`;
    yield {
      path: ["infrastructure", "nnodes"],
      found: `is ${nnodes}, but the stack, of tier ${tier}, has ${gpuNodes}${split}`,
    };
  },
});
