/** `node bench/gpu/predict.ts cases.json results.json…`: what the formula says of each case, beside what was measured. */
import { readFileSync } from "node:fs";
import { architectureOf } from "../../config/load/hugging-face.ts";
import { layerPeak, lossPeak, optimizerPeak } from "../../config/plan/memory/trainer.ts";

interface Case {
  readonly name: string;
  readonly model: string;
  readonly tokens: number;
  readonly change?: Record<string, unknown>;
  readonly strategy?: string;
  readonly logits?: keyof typeof copies;
  readonly checkpointing?: boolean;
}

interface Result {
  readonly name: string;
  readonly gpus: number;
  readonly error: string | null;
  readonly parameters: number;
  readonly bytes: Record<string, number>;
}

const copies = { "as they are": 1, divided: 2, "divided in place": 4 } as const;

const [casesFile = "", ...resultFiles] = process.argv.slice(2);
const { models, cases } = JSON.parse(readFileSync(casesFile, "utf8")) as {
  models: Record<string, Record<string, unknown>>;
  cases: Case[];
};

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(2).padStart(6);

for (const file of resultFiles) {
  for (const result of JSON.parse(readFileSync(file, "utf8")) as Result[]) {
    const measured = cases.find(({ name }) => name === result.name);
    if (!measured || result.error !== null) continue;
    const model = architectureOf({ ...models[measured.model], ...measured.change });
    if (!model) throw new Error(`${measured.name}: no shapes`);
    const setup = {
      model,
      tokens: measured.tokens,
      shards: result.gpus,
      sharding: measured.strategy === "fsdp" ? "flat" : "by parameter",
      logitsCopies: copies[measured.logits ?? "as they are"],
      checkpointing: measured.checkpointing ?? true,
      hasHead: true,
    } as const;
    const predicted = {
      backward: Math.max(lossPeak(setup).bytes, layerPeak(setup).bytes),
      step: optimizerPeak(setup).bytes,
    };
    const rows = Object.entries(predicted).map(([phase, bytes]) => {
      const seen = result.bytes[`peak: ${phase}`] ?? NaN;
      const error = `${((bytes / seen - 1) * 100).toFixed(1)} %`;
      return `${phase} ${gigabytes(bytes)} of ${gigabytes(seen)} GB, ${error.padStart(7)}`;
    });
    process.stdout.write(`${result.name.padEnd(38)} ${result.gpus} GPU  ${rows.join("   ")}\n`);
  }
}
