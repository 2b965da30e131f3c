/** Marks a Job or a container that stands for one that has failed, with the identity of that one. */
export const attemptLabel = "swe-rl.dev/attempt";

/** Of what a stack runs once: empty where none has failed. */
export interface Attempts {
  readonly proof: string;
  readonly inputsCheck: string;
  readonly inputsStart: string;
  readonly trainingStart: string;
  readonly servicesStart: string;
  readonly rolloutCheck: string;
  readonly policyCheck: string;
  readonly trainer: string;
}

export const noAttempts: Attempts = {
  proof: "",
  inputsCheck: "",
  inputsStart: "",
  trainingStart: "",
  servicesStart: "",
  rolloutCheck: "",
  policyCheck: "",
  trainer: "",
};

/** The mark of an object, if one like it has failed before. */
export function attemptMark(attempt: string): Readonly<Record<string, string>> {
  return attempt === "" ? {} : { [attemptLabel]: attempt };
}
