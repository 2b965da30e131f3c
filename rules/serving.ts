/** Rules about frozen models. */
import { modelFactsOf } from "../config/schema/model-facts.ts";
import { leastProcessMemoryBytes } from "../plan/serving/index.ts";
import { defineRule, noPlan } from "./rule.ts";

const GiB = 2 ** 30;

export const differentNames = defineRule({
  id: "serving-name",
  title: "frozen models have different names",
  severity: "fatal",
  consequence: "their objects would have the same names",
  remedy: "choose another name",
  source: "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/",
  unwaivable: noPlan,
  *check({ settings: { experiment } }) {
    const names = experiment.serving.map(({ name }) => name);
    for (const [i, name] of names.entries()) {
      if (names.indexOf(name) === i) continue;
      yield { path: ["serving", i, "name"], found: `is ${name}, like another of the list` };
    }
  },
});

export const frozenModelMemory = defineRule({
  id: "serving-memory",
  title: "a frozen model has memory beside /dev/shm",
  severity: "fatal",
  consequence: "too little remains to load a model",
  remedy: "give more memory",
  source: "https://github.com/vllm-project/vllm/issues/37982",
  *check({ settings: { experiment }, plan: { serving } }) {
    for (const [i, { memoryBytes, sharedMemoryBytes, gpus }] of serving.entries()) {
      if (memoryBytes - sharedMemoryBytes >= leastProcessMemoryBytes) continue;
      const share =
        experiment.serving[i]?.memory === undefined
          ? ` (the share of ${gpus} GPUs in the site's gpu_nodes.memory)`
          : "";
      yield {
        path: ["serving", i, "memory"],
        found: `is ${memoryBytes / GiB}Gi${share}, of which /dev/shm takes ${sharedMemoryBytes / GiB}Gi`,
        remedy: `give at least ${(sharedMemoryBytes + leastProcessMemoryBytes) / GiB}Gi`,
      };
    }
  },
});

export const expertParallelism = defineRule({
  id: "serving-experts",
  title: "expert parallelism only for models with experts",
  severity: "fatal",
  consequence: "vLLM refuses to start",
  remedy: "leave it out",
  source: "https://docs.vllm.ai/en/stable/serving/expert_parallel_deployment/",
  *check({ settings: { experiment, models } }) {
    for (const [i, wanted] of experiment.serving.entries()) {
      const facts = modelFactsOf(models, wanted.model_path);
      if (!facts || facts.mixture_of_experts || wanted.expert_parallel !== true) continue;
      yield {
        path: ["serving", i, "expert_parallel"],
        found: "is true, but the model has no experts",
      };
    }
  },
});

export const oneNode = defineRule({
  id: "serving-gpus",
  title: "a frozen model fits one node",
  severity: "fatal",
  consequence: "its pods wait for ever, since a frozen model does not span nodes",
  remedy: "at most infrastructure.ngpus_per_node GPUs",
  source: "docs/decisions.md#c-03",
  unwaivable: noPlan,
  *check({ settings: { experiment }, plan: { topology } }) {
    for (const [i, { gpus }] of experiment.serving.entries()) {
      if (gpus <= topology.gpusPerNode) continue;
      yield {
        path: ["serving", i, "gpus"],
        found: `is ${gpus}, but a node has ${topology.gpusPerNode} (infrastructure.ngpus_per_node)`,
        remedy: `choose at most ${topology.gpusPerNode}`,
      };
    }
  },
});
