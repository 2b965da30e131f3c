import { inject } from "vitest";
import { ProjectCopy } from "../../support/pulumi-project.ts";

export type { Outcome } from "../../support/pulumi-project.ts";

/** A copy of the project against the lab of the engine's tests. */
export class Project extends ProjectCopy {
  constructor(environment: Readonly<Record<string, string>> = {}) {
    super("engine", { ...inject("lab"), ...environment });
  }
}
