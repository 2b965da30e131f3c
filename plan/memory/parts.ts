/** What lies in GPU memory at one moment, by part. */
export interface Peak {
  /** The moment. */
  readonly phase: string;
  readonly parts: Readonly<Partial<Record<PartName, number>>>;
  readonly bytes: number;
}

export const partNames = [
  "weights",
  "gradients",
  "optimizer",
  "activations",
  "logits",
  "KV cache",
  "CUDA graphs",
  "headroom",
] as const;
export type PartName = (typeof partNames)[number];

export function peak(phase: string, parts: Peak["parts"]): Peak {
  const bytes = Object.values(parts).reduce((sum, part) => sum + part, 0);
  return { phase, parts, bytes };
}

/** The moment that needs most. */
export function highest(peaks: readonly [Peak, ...Peak[]]): Peak {
  return peaks.reduce((most, next) => (next.bytes > most.bytes ? next : most));
}

/** Both at once. */
export function together(phase: string, a: Peak, b: Peak): Peak {
  const parts = Object.fromEntries(
    partNames.flatMap((name) => {
      const sum = (a.parts[name] ?? 0) + (b.parts[name] ?? 0);
      return sum > 0 ? [[name, sum]] : [];
    }),
  );
  return peak(phase, parts);
}

/** What the process takes beside its tensors: CUDA's context, NCCL's buffers, and what the allocator cannot use. */
export function withHeadroom({ phase, parts, bytes }: Peak): Peak {
  return peak(phase, { ...parts, headroom: contextBytes + bytes * fragmentation });
}

/** Measured: 0.86 GB on one GPU, 1.68 GB on two; a run has more groups of GPUs that talk to each other. */
export const contextBytes = 3e9;
const fragmentation = 0.02;
