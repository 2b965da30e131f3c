/** GPU memory of a model in training under Megatron with its distributed optimizer. Derived, not measured. */
import type { Architecture } from "../../config/schema/models.ts";
import type { Engine } from "../run/index.ts";
import { layerBytesPerToken } from "./activations.ts";
import { highest, type Peak, peak } from "./parts.ts";
import { parametersOf } from "../../config/schema/parameters.ts";

export interface MegatronSetup {
  readonly model: Architecture;
  readonly tokens: number;
  readonly engine: Pick<
    Engine,
    "tensorParallel" | "pipelineParallel" | "sequenceParallel" | "expertParallel"
  >;
  readonly gpus: number;
  readonly hasHead: boolean;
}

/** bf16 weights and fp32 gradients of the GPU's part of the model; fp32 weights and moments shared by its copies. */
export function megatronPeak({ model, tokens, engine, gpus, hasHead }: MegatronSetup): Peak {
  const { tensorParallel: tensor, pipelineParallel: pipeline, expertParallel } = engine;
  const { total } = parametersOf(model);
  const { experts } = model;
  const inExperts = experts
    ? 3 * model.hidden_size * experts.count * experts.intermediate_size * model.layers
    : 0;
  const local =
    (total - inExperts) / (tensor * pipeline) +
    inExperts / (Math.max(tensor, expertParallel) * pipeline);
  const resident = { weights: local * 2, gradients: local * 4, optimizer: (total * 12) / gpus };
  // Each stage keeps the inputs of its layers for as many micro-batches as there are stages.
  const kept = (model.layers * model.hidden_size * 2 * tokens) / tensor;
  // Logits in bf16, and twice in fp32 for the cross entropy over the parts of the vocabulary.
  const logits = hasHead ? (tokens * model.vocab_size * 10) / tensor : 0;
  const layer = (layerBytesPerToken(model) * tokens) / tensor;
  return highest([
    peak("loss", { ...resident, activations: kept, logits }),
    peak("layer", { ...resident, activations: kept + layer }),
  ]);
}
