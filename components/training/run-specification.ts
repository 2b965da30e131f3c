import type { Names } from "../../plan/names.ts";
import type { Directories } from "../../plan/storage/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";

export interface RunSpecificationArgs {
  readonly names: Names;
  readonly trainer: Omit<Trainer, "image">;
  readonly directories: Directories;
}

/** What `runtime/trainer/submit_run.py` reads from `RUN_SPEC`: the run, as JSON. */
export function runSpecification({ names, trainer, directories }: RunSpecificationArgs): string {
  return JSON.stringify({
    name: names.stack,
    fingerprint: trainer.fingerprint,
    argv: trainer.argv,
    workingDirectory: trainer.workingDirectory,
    trainingLog: directories.trainingLog,
    vllmLog: directories.vllmLog,
    gpus: trainer.gpus,
    maxRestarts: trainer.maxRestarts,
  });
}
