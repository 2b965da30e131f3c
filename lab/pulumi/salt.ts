/**
 * Pulumi writes the salt of a stack's passphrase into `stacks/Pulumi.<stack>.yaml`. A salt of the lab's passphrase
 * that stays there would make a real backend refuse the user's passphrase later.
 */
import { createDecipheriv, pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from "yaml";

const iterations = 1_000_000;
const tagLength = 16;

/** The salt in a stack's file, and another secrets provider if it names one. */
export function readEncryption(text: string): {
  readonly salt: string | undefined;
  readonly provider: string | undefined;
} {
  const document = parseDocument(text);
  const read = (key: string) => {
    const value: unknown = document.has(key) ? document.get(key) : undefined;
    return typeof value === "string" ? value : undefined;
  };
  return { salt: read("encryptionsalt"), provider: read("secretsprovider") };
}

/**
 * Whether a passphrase opens a salt: `v1:<salt>:v1:<nonce>:<sealed>`, where the sealed word is "pulumi".
 * Asked of the salt itself, this also holds for stacks that the backend has forgotten.
 */
export async function opens(salt: string, passphrase: string): Promise<boolean> {
  const [version, salted = "", sealVersion, nonce = "", sealed = ""] = salt.split(":");
  if (version !== "v1" || sealVersion !== "v1") return false;
  const decode = (text: string) => Buffer.from(text, "base64");
  const key = await promisify(pbkdf2)(passphrase, decode(salted), iterations, 32, "sha256");
  try {
    const box = decode(sealed);
    const decipher = createDecipheriv("aes-256-gcm", key, decode(nonce));
    decipher.setAuthTag(box.subarray(-tagLength));
    const word =
      decipher.update(box.subarray(0, -tagLength), undefined, "utf8") + decipher.final("utf8");
    return word === "pulumi";
  } catch {
    return false;
  }
}

/**
 * A stack's file without its salt and without the values that only its passphrase opens. Cut out by lines, so that
 * every other line, comments among them, stays as it was written.
 * @returns undefined if nothing is left that anybody wrote.
 */
export function withoutSecrets(text: string): string | undefined {
  const { contents } = parseDocument(text);
  const pairs = isMap(contents) ? contents.items : [];
  const salt = pairs.filter((pair) => keyOf(pair) === "encryptionsalt");
  const config = pairs.filter((pair) => keyOf(pair) === "config");
  const secrets = config.flatMap((pair) => (isSecret(pair) ? [pair] : secretsIn(pair)));
  const rest = cut(text, [...salt, ...secrets]);
  return rest.trim() === "" ? undefined : rest;
}

type Pair = YAMLMap["items"][number];

/** The outermost pairs that hold nothing but secrets. */
function secretsIn({ value }: Pair): Pair[] {
  if (!isMap(value)) return [];
  return value.items.flatMap((pair) => (isSecret(pair) ? [pair] : secretsIn(pair)));
}

function isSecret({ value }: Pair): boolean {
  if (!isMap(value) || value.items.length === 0) return false;
  const isSealed = value.items.length === 1 && value.has("secure");
  return isSealed || value.items.every(isSecret);
}

function keyOf({ key }: Pair): unknown {
  return isScalar(key) ? key.value : undefined;
}

function cut(text: string, pairs: readonly Pair[]): string {
  const holes = pairs.flatMap(({ key, value }) => {
    const start = isScalar(key) ? key.range?.[0] : undefined;
    const end = isNode(value) ? value.range?.[1] : undefined;
    if (start === undefined || end === undefined) return [];
    const from = text.lastIndexOf("\n", start - 1) + 1;
    const lineEnd = text.indexOf("\n", Math.max(start, end - 1));
    return [{ from, to: lineEnd < 0 ? text.length : lineEnd + 1 }];
  });
  return holes
    .sort((a, b) => b.from - a.from)
    .reduce((rest, { from, to }) => rest.slice(0, from) + rest.slice(to), text);
}
