import type { Settings } from "../../config/load/load.ts";
import type { Problems } from "../problems.ts";

/** Response from which sequence-level weights, products over all tokens, are nearly all lost (inferred). */
const longResponse = 8192;

/** Between the clip ratios of sequence-level losses, about 1e-4, and those of token-level losses, about 0.1. */
const clipBoundary = 0.01;

/** What decides whether the run learns, though it would start either way. */
export function checkLearning({ experiment }: Settings, problems: Problems): void {
  const { algorithm, training, trainer } = experiment;
  if (algorithm.lr_scheduler !== "constant") {
    problems.warn(
      "C-18",
      ["algorithm", "lr_scheduler"],
      `is ${algorithm.lr_scheduler}: where the number of steps is not known in advance, as in asynchronous training, the learning rate falls to zero. Leave it out.`,
    );
  }
  if (algorithm.rollout_is === "sequence" && training.max_response_length > longResponse) {
    problems.warn(
      "C-20",
      ["algorithm", "rollout_is"],
      `is sequence with responses of up to ${training.max_response_length} tokens: seen to leave an effective sample size of 0.06, so that the gradient starves. Use token, or leave it out.`,
    );
  }
  checkClipping(experiment, problems);
  if (training.save_freq < 1 && trainer.max_restarts > 0) {
    problems.warn(
      "no-checkpoints",
      ["training", "save_freq"],
      `is ${training.save_freq}, so that no checkpoint is saved: each of the ${trainer.max_restarts} restarts (trainer.max_restarts) would begin at step 0, and nothing would outlive the stack.`,
    );
  }
}

function checkClipping({ algorithm }: Settings["experiment"], problems: Problems): void {
  const { policy_loss_mode: loss, clip_ratio_high: high } = algorithm;
  if (loss === "gspo" && high > clipBoundary) {
    problems.warn(
      "clip-range",
      ["algorithm", "clip_ratio_high"],
      `is ${high}, but ratios of whole sequences (policy_loss_mode gspo) hardly leave 1, so that nothing would be clipped. Use about 4e-4.`,
    );
  }
  if (loss === "vanilla" && high < clipBoundary) {
    problems.warn(
      "clip-range",
      ["algorithm", "clip_ratio_high"],
      `is ${high}, the order of a sequence-level loss, but policy_loss_mode vanilla clips single tokens: nearly all would be clipped. Use about 0.2, and the same for clip_ratio_low.`,
    );
  }
}
