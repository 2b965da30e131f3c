/**
 * `npm run bench`: what the project's own work costs. Times preview, up, no-change up and destroy of the single-node
 * stack against a bare program that registers the same objects and against an empty one, in one run on one machine,
 * on a lab of its own. Prints seconds and ratios; judges nothing.
 */
import { parseArgs } from "node:util";
import { measureAdmission, reportAdmission } from "./admission.ts";
import { Bench } from "./bench.ts";
import { measureFuzz } from "./fuzz.ts";
import { measurePreflight, reportPreflight } from "./preflight.ts";
import { report } from "./report.ts";
import { measureScale, reportScale } from "./scale.ts";
import { supervise, workFolder } from "./supervise.ts";

const usage = `Usage: npm run bench [-- --runs N] [--scale | --preflight | --admission]
       npm run bench -- --fuzz N

Medians of N runs (default 3), after one that is not counted. Brings up a lab of its own and takes it down again.

  --scale      instead: previews of the largest tier against an empty program, with 1, 10 and 100 stacks in the backend
  --preflight  instead: what preflight's questions to the cluster add to a preview, on the lab and with 1,000 nodes and
               5,000 pods more
  --admission  instead: sandbox pods made and deleted with and without our admission policies
  --fuzz       instead: N damaged configuration files through load, Plan and preflight without a cluster; needs no lab.
               Exit code 1 if one of them showed a stack trace, a problem without a place, or no end
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "3" },
      scale: { type: "boolean", default: false },
      preflight: { type: "boolean", default: false },
      admission: { type: "boolean", default: false },
      fuzz: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  for (const option of ["runs", "fuzz"] as const) {
    const value = values[option] ?? "1";
    if (Number.isInteger(Number(value)) && Number(value) >= 1) continue;
    process.stderr.write(
      `--${option} must be a whole number of at least 1, not ${value}\n\n${usage}`,
    );
    return 2;
  }
  if (values.fuzz !== undefined) {
    const { report, passed } = await measureFuzz(Number(values.fuzz));
    process.stdout.write(report);
    return passed ? 0 : 1;
  }
  if (workFolder === undefined) return supervise();
  const runs = Number(values.runs);
  const bench = new Bench(workFolder);
  if (values.preflight) {
    process.stdout.write(reportPreflight(await measurePreflight(bench, runs)));
    return 0;
  }
  if (values.admission) {
    process.stdout.write(reportAdmission(await measureAdmission(bench)));
    return 0;
  }
  process.stdout.write(
    values.scale ? reportScale(measureScale(bench, runs)) : report(bench.measure(runs)),
  );
  return 0;
}

process.exitCode = await main();
