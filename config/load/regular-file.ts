import { readFileSync, statSync } from "node:fs";

/** A configuration has some kilobytes. Anything else (a checkpoint's weights) is not read. */
const usualBytes = 2 ** 22;

/**
 * The text of a regular file. Anything else is not opened: a pipe would wait for ever, a device would never end.
 * @param mostBytes A larger file is not read either. @default 4 MiB
 * @throws If the file cannot be read, or is none.
 */
export function readRegularFile(path: string, mostBytes = usualBytes): string {
  const stats = statSync(path);
  if (stats.isDirectory()) {
    throw Object.assign(new Error("is a directory, not a file"), { code: "EISDIR" });
  }
  if (!stats.isFile()) throw new Error("it is a pipe, a socket or a device, not a file");
  if (stats.size > mostBytes) throw new Error(`it is larger than ${mostBytes} bytes`);
  return readFileSync(path, "utf8");
}
