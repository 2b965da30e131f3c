/** Entry of the Pulumi program. Node.js keeps what it has compiled for the next run, which saves it half a second. */
import { enableCompileCache } from "node:module";

enableCompileCache();

// Pulumi maps the traces of transpiled programs back to their source, at every promise that it makes. Node.js runs this
// one as it is written, so that its own traces are right already; half a second of every command went into that.
Reflect.deleteProperty(Error, "prepareStackTrace");

export default async function main() {
  const { program } = await import("./program.ts");
  return await program();
}
