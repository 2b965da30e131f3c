/** What the formula says of the measured cases. */
import { architectureOf } from "../../config/load/hugging-face.ts";
import { layerPeak, lossPeak, optimizerPeak, scoringPeak } from "../../plan/memory/index.ts";
import { parametersOf } from "../../config/schema/parameters.ts";
import type { Architecture } from "../../config/schema/models.ts";

interface Case {
  readonly name: string;
  readonly model: string;
  readonly tokens: number;
  readonly change?: Record<string, unknown>;
  readonly strategy?: string;
  readonly activations?: "offloaded";
  readonly logits?: keyof typeof copies;
}

interface Result {
  readonly name: string;
  readonly gpus: number;
  readonly error: string | null;
  readonly parameters: number;
  readonly bytes: Record<string, number>;
}

/** Bytes at the peak of the update, of the optimizer's step, and of log-probabilities without gradients. */
interface Peaks {
  readonly update: number;
  readonly step: number;
  readonly scoring: number;
}

export interface Row {
  readonly name: string;
  readonly gpus: number;
  readonly model: Architecture;
  readonly parameters: number;
  readonly predicted: Peaks;
  readonly measured: Peaks;
}

const copies = { "as they are": 1, divided: 2, "divided in place": 4 } as const;

/** @param cases The content of cases.json. @param results What measure.py has written. */
export function compared(cases: unknown, results: unknown): Row[] {
  const { models, cases: all } = cases as {
    models: Record<string, Record<string, unknown>>;
    cases: Case[];
  };
  return (results as Result[]).flatMap((result): Row[] => {
    const found = all.find(({ name }) => name === result.name);
    const model = found && architectureOf({ ...models[found.model], ...found.change });
    if (!model || result.error !== null) return [];
    const setup = {
      model,
      tokens: found.tokens,
      shards: result.gpus,
      sharding: found.strategy === "fsdp" ? "flat" : "by parameter",
      logitsCopies: copies[found.logits ?? "as they are"],
      checkpointing: true,
      offloadsActivations: found.activations === "offloaded",
      hasHead: true,
    } as const;
    // Beside its own work lie the shard's weights in fp32 and its moments, which a reference does not have.
    const resident = (12 * parametersOf(model).total) / result.gpus;
    const seen = (phase: string) => result.bytes[`peak: ${phase}`] ?? NaN;
    return [
      {
        name: result.name,
        gpus: result.gpus,
        model,
        parameters: result.parameters,
        predicted: {
          update: Math.max(lossPeak(setup).bytes, layerPeak(setup).bytes),
          step: optimizerPeak(setup).bytes,
          scoring: scoringPeak({ ...setup, logitsCopies: 1 }, "scoring", resident).bytes,
        },
        measured: {
          update: seen("backward"),
          step: seen("step"),
          scoring: seen("log-probabilities"),
        },
      },
    ];
  });
}
