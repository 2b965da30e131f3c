import { basename } from "node:path";
import type { ModelFacts, Models } from "./models.ts";

/** What `config/models.yaml` knows of a checkpoint, by the name of its directory. */
export function modelFactsOf(models: Models, modelPath: string): ModelFacts | undefined {
  const name = basename(modelPath);
  // A directory may be called `constructor`.
  return Object.hasOwn(models, name) ? models[name] : undefined;
}
