/** Entry of the Pulumi program. Node.js keeps what it has compiled for the next run, which saves it half a second. */
import { enableCompileCache } from "node:module";

enableCompileCache();

export default async function main() {
  const { program } = await import("./program.ts");
  return await program();
}
