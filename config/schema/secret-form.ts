/** Secrets that a user stores in a stack. */
export const userSecrets = [
  "wandbApiKey",
  "registryCredentials",
  "pushCredentials",
  "dockerCa",
  "dockerCert",
  "dockerKey",
] as const;
export type UserSecret = (typeof userSecrets)[number];

/** A secret that cannot be right by its form. Nothing of its value is in the text. */
export interface SecretFlaw {
  readonly name: UserSecret;
  readonly flaw: string;
}

/** Of a secret that the stack's file has in clear. */
export const inClear = "is stored in clear, in a file that goes into version control";

/** What is wrong with the form of a value; undefined: nothing that can be seen. */
export function flawOfSecret(name: UserSecret, value: string): string | undefined {
  if (value.trim() === "") return "is empty";
  switch (name) {
    case "wandbApiKey":
      return /\s/.test(value) ? "has white space in it, which no key has" : undefined;
    case "registryCredentials":
    case "pushCredentials":
      return flawOfCredentials(value);
    case "dockerCa":
    case "dockerCert":
    case "dockerKey":
      return value.includes("-----BEGIN ")
        ? undefined
        : "is no PEM text: it has no line that begins with -----BEGIN";
  }
}

/** The form of `~/.docker/config.json`, which a Secret of type `kubernetes.io/dockerconfigjson` holds. */
function flawOfCredentials(value: string): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    return "is no JSON";
  }
  const auths = isObject(parsed) ? parsed["auths"] : undefined;
  if (!isObject(auths)) return "has no mapping auths";
  if (Object.keys(auths).length === 0) return "has no registry in auths";
  const complete = Object.values(auths).every(
    (entry) => isObject(entry) && ("auth" in entry || ("username" in entry && "password" in entry)),
  );
  return complete ? undefined : "has a registry without auth, or username and password";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
