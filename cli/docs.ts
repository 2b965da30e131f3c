/** `npm run docs`: writes the pages of docs/ that are made from the schema and the Plan. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { generatedPages } from "./docs/pages.ts";

const root = join(import.meta.dirname, "..");
for (const [file, text] of generatedPages(root)) {
  writeFileSync(join(root, file), text);
  process.stdout.write(`${file}\n`);
}
