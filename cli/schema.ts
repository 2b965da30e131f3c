/** `npm run schema`: writes the JSON Schemas that the configuration files name in their first line. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { schemaFiles } from "./docs/json-schema.ts";

const folder = join(import.meta.dirname, "../config");
for (const [file, schema] of schemaFiles) {
  writeFileSync(join(folder, file), `${JSON.stringify(schema(), null, 2)}\n`);
  process.stdout.write(`config/${file}\n`);
}
