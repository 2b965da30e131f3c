import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** What Pulumi needs to run the program. */
const parts = [
  "components",
  "config",
  "plan",
  "preflight",
  "rules",
  "runtime",
  "stacks",
  "Pulumi.yaml",
  "package.json",
];

/** Copies the project into a folder, where it can be changed without touching the checkout. */
export function copyProject(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const part of parts) {
    cpSync(join(root, part), join(folder, part), {
      recursive: true,
      // The user's own stacks have salts and secrets of another backend.
      filter: (file) => !/^Pulumi\..+\.yaml$/.test(basename(file)),
    });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
}
