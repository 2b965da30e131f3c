/** How values come over the wire between engine and plugin. */

const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export function asSecret(value: string): Record<string, string> {
  return { [signatureKey]: secretSignature, value };
}

/** The value without the wrapping of secrets, at any depth. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (fields[signatureKey] === secretSignature) return plain(fields["value"]);
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, plain(field)]));
}

/** Not known before the update; shown at any depth. */
export function isUnknown(value: unknown): boolean {
  return JSON.stringify(plain(value) ?? null).includes(unknownValue);
}
