import type { Experiment } from "../../config/schema/experiment.ts";

/** verl's switch for kernels that never make the logits. */
export const fusedKernels = "actor_rollout_ref.model.use_fused_kernels";

/** What the estimate assumes of the loss. */
export interface LogitsLoss {
  /** Tensors as large as the logits, in bf16, that are there at once when the loss goes backward. */
  readonly copies: number;
  /** Whose loss it is, and why it has so many. */
  readonly words: string;
}

/**
 * The loss of the release, or what the experiment states (docs/memory.md). 0.9.1: one copy at temperature 1, else the
 * divided logits beside the raw ones. 0.8.0 divides in place on a view, for which autograd clones the gradient three
 * times. The fork's loss is not published; its two documented peaks are those of one tensor. An entropy bonus needs the
 * logits once more after the gradient has been made, and its own.
 */
export function planLogitsLoss({ training, verl, algorithm }: Experiment): LogitsLoss {
  if (training.logits_copies !== undefined) {
    return { copies: training.logits_copies, words: "stated by training.logits_copies" };
  }
  if (verl.overrides[fusedKernels] === true) {
    return { copies: 0, words: "fused kernels, which never make the logits" };
  }
  const release = lossOfRelease(verl, algorithm);
  if (algorithm.entropy_coeff === 0) return release;
  return { copies: release.copies + 2, words: `${release.words}, and an entropy bonus` };
}

function lossOfRelease(
  { distribution, version }: Experiment["verl"],
  { temperature }: Experiment["algorithm"],
): LogitsLoss {
  if (distribution === "fork") {
    return { copies: 1, words: "the fork's, inferred from its two documented peaks" };
  }
  if (version === "0.8.0") {
    return { copies: 4, words: "verl 0.8.0's, which divides them in place" };
  }
  return temperature === 1
    ? { copies: 1, words: `verl ${version}'s at temperature 1` }
    : { copies: 2, words: `verl ${version}'s, which keeps them beside the divided ones` };
}
