/** The contract's sections `experiment` and `credentials`. */
import { z } from "zod";

const pathSegment = () =>
  z.string().regex(/^[A-Za-z0-9][\w.-]*$/, {
    error: "must be letters, digits, '.', '_' and '-': it becomes a directory and a tracking name",
  });

export const experiment = z.strictObject({
  project_name: pathSegment().default("swe-lego-live-rl").describe("Project of the tracker."),
  exp_name: z
    .union([pathSegment(), z.literal("")])
    .default("")
    .describe(
      "Name of the run: directory of its checkpoints, logs and trials. Empty: the stack's name.",
    ),
  trials_dir: z
    .string()
    .default("")
    .describe(
      "Directory of the trials. Empty: `harbor_trials/<project>/<run>` on the trials volume.",
    ),
  trajectory_logger_src: z
    .string()
    .default("")
    .describe("No effect here: the proxy brings its own trajectory recorder."),
});

export const credentials = z.strictObject({
  wandb_api_key: z
    .literal("", {
      error:
        "must not stand in a file; store it with: pulumi config set --secret swe-rl:wandbApiKey",
    })
    .default("")
    .meta({ rule: "C-47" })
    .describe("Must stay empty; the key is a stack secret."),
  wandb_mode: z
    .enum(["online", "offline", "disabled"])
    .default("online")
    .describe("Weights & Biases: `online` needs the stack secret `wandbApiKey` (C-10)."),
});
