/** `npm run bench`: measures what the project's own work costs, and prints seconds and ratios. */
import { parseArgs } from "node:util";
import { benchAdmission } from "./admission.ts";
import { benchFaults } from "./faults.ts";
import { type Bench, Frame } from "./frame.ts";
import { benchFuzz } from "./fuzz.ts";
import { benchLifecycle } from "./lifecycle.ts";
import { benchPreflight } from "./preflight.ts";
import { benchScale } from "./scale.ts";
import { supervise, workFolder } from "./supervise.ts";

const usage = `Usage: npm run bench [-- --runs N] [--scale | --preflight | --admission]
       npm run bench -- --fuzz N
       npm run bench -- --faults

Times preview, up, up without a change and destroy of the single-node stack, of a bare program with the same objects,
and of an empty program. Prints medians of N runs (default 3) after one uncounted run. Uses a lab of its own, which it
brings up and removes.

  --scale      instead: previews of the largest tier against an empty program, with 1, 10 and 100 stacks in the backend
  --preflight  instead: the time that preflight's requests to the cluster add to a preview, on the lab and with 1,000
               more nodes and 5,000 more pods
  --admission  instead: creation and deletion of sandbox pods with and without the project's admission policies
  --fuzz       instead: N damaged configuration files through load, Plan and preflight without a cluster; needs no lab.
               Exit code 1 if one of them causes a stack trace, a problem without a location, or a hang
  --faults     instead: a run on a real node outlives one fault after another, about 45 minutes; uses the lab of the
               tests with a real node, and removes it
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "3" },
      scale: { type: "boolean", default: false },
      preflight: { type: "boolean", default: false },
      admission: { type: "boolean", default: false },
      fuzz: { type: "string" },
      faults: { type: "boolean", default: false },
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
    const { report, passed } = await benchFuzz(Number(values.fuzz));
    process.stdout.write(report);
    return passed ? 0 : 1;
  }
  if (values.faults) {
    process.stdout.write(await benchFaults());
    return 0;
  }
  if (workFolder === undefined) return supervise();
  const bench: Bench = values.preflight
    ? benchPreflight
    : values.admission
      ? benchAdmission
      : values.scale
        ? benchScale
        : benchLifecycle;
  process.stdout.write(await bench(new Frame(workFolder), Number(values.runs)));
  return 0;
}

process.exitCode = await main();
