/** The site setting `pool` of GPU and sandbox nodes: where the nodes come from. */
import { z } from "zod";
import { count } from "./scalars.ts";

const capacityTypeLabel = "karpenter.sh/capacity-type";

const existing = z.strictObject({
  kind: z.literal("existing"),
});

const requirement = z.strictObject({
  key: z
    .string()
    .min(1)
    .refine((key) => key !== capacityTypeLabel, {
      error: "is set by pool.capacity_types; say it there",
    })
    .describe("Node label, for example `node.kubernetes.io/instance-type`."),
  operator: z
    .enum(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"])
    .default("In")
    .describe("How the label's value is compared."),
  values: z.array(z.string()).default([]).describe("Values to compare with."),
});

const quantity = z.union([
  count(),
  z.string().regex(/^\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/, {
    error: "must be a Kubernetes quantity, for example 128 or 4Ti",
  }),
]);

const karpenter = (capacityTypes: readonly ("reserved" | "on-demand" | "spot")[]) =>
  z.strictObject({
    kind: z.literal("karpenter"),
    node_class: z
      .strictObject({
        group: z.string().min(1).describe("API group, for example `karpenter.k8s.aws`."),
        kind: z.string().min(1).describe("Kind, for example `EC2NodeClass`."),
        name: z.string().min(1).describe("Name of the object, which is there already."),
      })
      .describe("What Karpenter makes nodes from: image, disks, network, as your cloud has them."),
    requirements: z
      .array(requirement)
      .min(1, "must name at least the instance types, or Karpenter could choose any")
      .describe("What a node must be, as Karpenter's NodePool takes it."),
    capacity_types: z
      .array(z.enum(["reserved", "on-demand", "spot"]))
      .min(1)
      .default([...capacityTypes])
      .describe("What nodes may be bought as."),
    limits: z
      .record(z.string(), quantity)
      .optional()
      .describe("Most that the pool may have in all. Default: what the stack needs."),
  });

const pool = (capacityTypes: readonly ("reserved" | "on-demand" | "spot")[]) =>
  z
    .discriminatedUnion("kind", [existing, karpenter(capacityTypes)])
    .prefault({ kind: "existing" })
    .describe(
      "Where the nodes come from: `existing` nodes that `selector` matches, or a Karpenter NodePool of each stack's own.",
    );

/** A lost GPU node costs the run everything since its last checkpoint, so never spot by default. */
export const gpuPool = () => pool(["reserved", "on-demand"]);

/** A lost sandbox costs one trial. */
export const sandboxPool = () => pool(["spot", "on-demand"]);
