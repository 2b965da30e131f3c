import { z } from "zod";

/** A TCP or UDP port that a program of ours may listen on. */
export const port = () =>
  z
    .int()
    .min(1024, "must be at least 1024: the containers run without the right to bind lower ports")
    .max(65535);

/** A span of time in whole seconds. */
export const seconds = () => z.int().min(1);

export const count = () => z.int().min(1);

/** A path as a container sees it. Relative paths are refused: preflight and launch would resolve them differently (C-48). */
export const absolutePath = () =>
  z.string().regex(/^\/(?!.*\/\.\.(\/|$))[^\s]*$/, {
    error: "must be an absolute path without spaces or '..', as the training containers see it",
  });

/** A container image reference: `[registry/]name[:tag][@sha256:digest]`. */
export const image = () =>
  z.string().regex(/^[a-z0-9][a-zA-Z0-9._\-/:]*(:[\w][\w.-]{0,127})?(@sha256:[a-f0-9]{64})?$/, {
    error: "must be an image reference such as registry.example.com/team/image:tag",
  });

/** A Python class as Harbor and verl import it: `package.module:Class`. */
export const importPath = () =>
  z.string().regex(/^[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$/, {
    error: "must have the form package.module:Class",
  });

/** Kubernetes' DNS label: what a namespace or a Service may be called. */
export const dnsLabel = () =>
  z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, {
    error: "must be a DNS label: at most 63 lower-case letters, digits and inner hyphens",
  });

const suffixes = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50 } as const;

/** An amount of memory or storage in binary units, as Kubernetes writes it: `1400Gi`. */
export const byteQuantity = () =>
  z.string().regex(/^[1-9]\d*(Ki|Mi|Gi|Ti|Pi)$/, {
    error: "must be a whole number with a binary unit, for example 512Gi or 10Ti",
  });

/** Bytes in a quantity that {@link byteQuantity} accepted. */
export function bytesOf(quantity: string): number {
  const suffix = quantity.slice(-2) as keyof typeof suffixes;
  return Number(quantity.slice(0, -2)) * suffixes[suffix];
}

export const labels = () =>
  z.record(
    z.string().regex(/^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/, {
      error: "is not a Kubernetes label key",
    }),
    z.string().regex(/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/, {
      error: "is not a Kubernetes label value: at most 63 letters, digits, '-', '_' and '.'",
    }),
  );

export const toleration = () =>
  z.strictObject({
    key: z.string().optional().describe("Taint key. Omitted: every key."),
    operator: z.enum(["Exists", "Equal"]).default("Exists").describe("How `value` is compared."),
    value: z.string().optional().describe("Taint value, with operator `Equal`."),
    effect: z
      .enum(["NoSchedule", "PreferNoSchedule", "NoExecute"])
      .optional()
      .describe("Taint effect. Omitted: every effect."),
  });

export type Toleration = z.output<ReturnType<typeof toleration>>;

/** Of Kubernetes, with its domain: without one a name is of Kubernetes' own (pkg/apis/core/helper, 1.34). */
export const extendedResource = () =>
  z
    .string()
    .regex(
      /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/,
      "must be the name of an extended resource with its domain, such as nvidia.com/gpu, without spaces",
    );
