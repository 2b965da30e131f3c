import type { Experiment } from "../../config/schema/experiment.ts";

/** verl's switch for kernels that never make the logits. */
export const fusedKernels = "actor_rollout_ref.model.use_fused_kernels";

/**
 * Tensors as large as the logits that are there at once when the loss goes backward (docs/memory.md).
 * 0.9.1: one at temperature 1, else the divided logits beside the raw ones. 0.8.0 divides in place on a view, for
 * which autograd clones the gradient three times. The fork's loss is not published; its two documented peaks are
 * those of one tensor. An entropy bonus needs the logits once more after the gradient has been made, and its own.
 */
export function logitsCopies({ verl, algorithm }: Experiment): number {
  if (verl.overrides[fusedKernels] === true) return 0;
  const entropy = algorithm.entropy_coeff > 0 ? 2 : 0;
  if (verl.distribution === "fork") return 1 + entropy;
  if (verl.version === "0.8.0") return 4 + entropy;
  return (algorithm.temperature === 1 ? 1 : 2) + entropy;
}
