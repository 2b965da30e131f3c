import { createHash } from "node:crypto";

/** The beginning of the SHA-256 of a text, in hexadecimal digits. */
export function digest(text: string, digits: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, digits);
}
