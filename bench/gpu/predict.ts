/** `node bench/gpu/predict.ts results.json…`: what the formula says of each case, beside what was measured. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compared } from "./compare.ts";

const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));
const cases = read(join(import.meta.dirname, "cases.json"));

for (const file of process.argv.slice(2)) {
  for (const { name, gpus, predicted, measured } of compared(cases, read(file))) {
    const cells = (["update", "step", "scoring"] as const).map((phase) => {
      const error = (predicted[phase] / measured[phase] - 1) * 100;
      return `${phase} ${inGB(predicted[phase])} of ${inGB(measured[phase])} GB, ${error.toFixed(1).padStart(5)} %`;
    });
    process.stdout.write(`${name.padEnd(36)} ${gpus} GPU  ${cells.join("   ")}\n`);
  }
}

function inGB(bytes: number): string {
  return (bytes / 1e9).toFixed(2).padStart(6);
}
