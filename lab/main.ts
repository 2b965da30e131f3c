/** Entry of `npm start` and `npm run lab`. Static imports need no installed package, so that a missing one is reported. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { interruption, listenForSignals } from "./interrupt.ts";
import { Interrupted, LabError } from "./problem.ts";

const root = join(import.meta.dirname, "..");

// A closed pipe (`… | head`) is not an error.
process.stdout.on("error", () => undefined);
listenForSignals();

try {
  if (!existsSync(join(root, "node_modules", "yaml"))) {
    throw new LabError("The project's packages are not installed. Install them: npm ci");
  }
  const { main } = await import("./cli.ts");
  process.exitCode = await main(root, process.argv.slice(2));
} catch (error) {
  const shown = interruption.aborted ? (interruption.reason as Interrupted) : error;
  const isSystem = shown instanceof Error && "syscall" in shown;
  if (!(shown instanceof LabError) && !isSystem) throw error;
  process.exitCode = shown instanceof LabError ? shown.exitCode : 1;
  process.stderr.write(`${shown.message}\n`);
  if (shown instanceof Interrupted) {
    process.stderr.write(
      "See what still runs: npm run lab -- status. Continue: run the same command again. End the lab: npm run lab -- down\n",
    );
  }
}
