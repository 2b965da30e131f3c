/** How secrets and unknown values are encoded between engine and plugin. */
import {
  specialSecretSig as secretSignature,
  specialSigKey as signatureKey,
  unknownValue,
} from "@pulumi/pulumi/runtime/rpc.js";

export function asSecret(value: string): Record<string, string> {
  return { [signatureKey]: secretSignature, value };
}

/** The value with all secrets unwrapped, at any depth. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (fields[signatureKey] === secretSignature) return plain(fields["value"]);
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, plain(field)]));
}

/** Whether the value, or a part of it, is unknown until the update. */
export function isUnknown(value: unknown): boolean {
  return JSON.stringify(plain(value) ?? null).includes(unknownValue);
}
