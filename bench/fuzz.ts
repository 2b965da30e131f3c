/** Passes damaged configuration files to the loader, many more than the tests. */
import { availableParallelism } from "node:os";
import { fuzz } from "../test/support/fuzz/fuzz.ts";

/** Uses all threads of the machine. @returns The report, and whether no file failed. */
export async function benchFuzz(files: number): Promise<{ report: string; passed: boolean }> {
  const threads = availableParallelism();
  const share = Math.ceil(files / threads);
  const began = performance.now();
  const reports = await Promise.all(
    Array.from({ length: threads }, (_, i) =>
      fuzz({ first: 1 + i * share, count: Math.min(share, files - i * share) }),
    ),
  );
  const seconds = (performance.now() - began) / 1000;
  const sum = (of: (report: (typeof reports)[number]) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  const failures = reports.flatMap((report) => report.failures);
  const slowest = Math.max(...reports.map((report) => report.slowest.milliseconds));
  const lines = [
    `${files} damaged configuration files in ${seconds.toFixed(0)} s, ${threads} threads`,
    `${sum(({ refused }) => refused)} refused with located problems, ${sum(({ accepted }) => accepted)} accepted, ${failures.length} failures`,
    `slowest file: ${slowest.toFixed(0)} ms`,
    ...failures.slice(0, 20).map(({ seed, reason }) => `seed ${seed}: ${reason.slice(0, 400)}`),
  ];
  return { report: `${lines.join("\n")}\n`, passed: failures.length === 0 };
}
