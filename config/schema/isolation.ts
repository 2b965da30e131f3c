/** What a site demands of the sandboxes' isolation, and what it accepts. */
import { z } from "zod";

export const isolation = () =>
  z
    .strictObject({
      require_proof: z
        .boolean()
        .default(true)
        .describe(
          "Whether a pod, or container, must have shown that it reaches the proxy and nothing else before training starts. `false` only where untrusted code does no harm: the stack then says `unproven`.",
        ),
      accepted: z
        .array(
          z.strictObject({
            target: z
              .string()
              .min(1)
              .describe("Name of a target of the egress proof, as its verdict writes it."),
            reason: z.string().min(1).describe("Why it may be reached. Shown with the verdict."),
          }),
        )
        .default([])
        .describe(
          "Targets that sandboxes may reach all the same, for instance `own node: ICMP` under kube-router.",
        ),
      also_denied: z
        .array(
          z.strictObject({
            name: z.string().min(1).describe("What the verdict calls it."),
            addresses: z.array(z.string().min(1)).min(1).describe("Its addresses."),
            ports: z.array(z.int().min(1).max(65535)).min(1).describe("Its TCP ports."),
          }),
        )
        .default([])
        .describe("Further targets that must be denied: a registry, a file server, a database."),
    })
    .prefault({})
    .describe("Isolation of the sandboxes.");
