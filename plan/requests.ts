/** CPU and memory of one container. */
export interface Requests {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
}

const MiB = 2 ** 20;

/** Requests of a container that only runs a program: thousandths of a CPU, and MiB of memory. */
export function requestsOf(
  millicpus: number,
  { memory, limit }: { memory: number; limit: number },
): Requests {
  return { cpus: millicpus / 1000, memoryBytes: memory * MiB, memoryLimitBytes: limit * MiB };
}

/** Requests of a container whose memory request is also its limit. */
export function guaranteed({ cpus, memoryBytes }: { cpus: number; memoryBytes: number }): Requests {
  return { cpus, memoryBytes, memoryLimitBytes: memoryBytes };
}
