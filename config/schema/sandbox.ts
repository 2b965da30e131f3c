/** The experiment's section `sandbox`: how many sandboxes run at once, and what their pods may be. */
import { z } from "zod";
import { count, image } from "./scalars.ts";

export const sandboxProfiles = [
  "standard",
  "sidecar",
  "user_namespaces",
  "gvisor",
  "kata",
] as const;
export type SandboxProfile = (typeof sandboxProfiles)[number];

export const sandbox = z.strictObject({
  parallel_trials: count()
    .default(96)
    .describe(
      "Most trials that run at once in steady state; the namespace's quota is sized for it (D-26).",
    ),
  memory_limit_factor: z
    .number()
    .min(1)
    .default(4)
    .meta({ rule: "C-43" })
    .describe(
      "Memory limit of a sandbox as a multiple of its request. An unbounded pod once took a node down.",
    ),
  profile: z
    .enum(sandboxProfiles)
    .default("standard")
    .describe(
      "What a sandbox pod is held to: `standard`, root inside the container and nothing on the node; `user_namespaces`, that root is nobody outside; `gvisor` and `kata`, a kernel of its own, by the site's RuntimeClass; `sidecar`, weaker: admits the original in-pod firewall with NET_ADMIN and NET_RAW, and the namespace enforces no pod security level. docs/sandboxes.md has what each gives up.",
    ),
  allowed_registries: z
    .array(
      z.string().regex(/^[a-z0-9][a-z0-9._\-:/]*[a-z0-9]$/, {
        error: "must be the beginning of image names, such as registry.example.com/tasks",
      }),
    )
    .default([])
    .describe(
      "Beginnings of the image names that sandboxes may run, registry and path. Empty: any image.",
    ),
  require_digest: z
    .boolean()
    .default(false)
    .describe("Whether sandboxes may run only images that are named by digest."),
  reaper: z
    .strictObject({
      grace_minutes: count()
        .default(5)
        .describe("Minutes past its deadline after which a sandbox is deleted."),
      finished_minutes: count()
        .default(30)
        .describe("Minutes that a finished sandbox stays, to be looked at."),
      dry_run: z
        .boolean()
        .default(false)
        .describe("Only log which sandboxes would be deleted, and why."),
    })
    .prefault({})
    .describe("What deletes sandboxes that outlived their deadline or their run."),
  prepull: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe("Have every sandbox node pull the agent's runtime image, and `images`."),
      images: z
        .array(image())
        .max(50, "may have at most 50: a node keeps each of them for as long as the stack lives")
        .default([])
        .describe("Task images to pull as well, for example those of validation."),
    })
    .prefault({})
    .describe("Images on the sandbox nodes before the first trial asks for them."),
});
