/** The kubeconfig of the lab. It carries its certificates in itself and names one context. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { readIfThere, writeWhole } from "./files.ts";
import { contextName, type Place } from "./place.ts";

/** @returns Whether it was not there as it should be. */
export function writeKubeconfig(place: Place, port: number): boolean {
  const encoded = (name: string) => readFileSync(join(place.data, "pki", name)).toString("base64");
  const text = stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": contextName,
    contexts: [{ name: contextName, context: { cluster: contextName, user: contextName } }],
    clusters: [
      {
        name: contextName,
        cluster: {
          server: `https://127.0.0.1:${port}`,
          "certificate-authority-data": encoded("ca.crt"),
        },
      },
    ],
    users: [
      {
        name: contextName,
        user: {
          "client-certificate-data": encoded("admin.crt"),
          "client-key-data": encoded("admin.key"),
        },
      },
    ],
  });
  if (readIfThere(place.kubeconfig) === text) return false;
  writeWhole(place.kubeconfig, text, 0o600);
  return true;
}
