/** Values that verl and the variables of its containers share, and that no setting decides. */

/** Seconds that a collective of NCCL waits: for the slowest trial, up to two hours (docs/decisions.md). */
export const collectiveTimeoutSeconds = 7200;
