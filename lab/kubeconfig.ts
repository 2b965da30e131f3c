/** The kubeconfig of the lab, with embedded certificates and one context. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { readIfThere, writeWhole } from "./files.ts";
import { contextName, type LabPaths } from "./paths.ts";

/** @returns Whether the file was missing or different. */
export function writeKubeconfig(paths: LabPaths, port: number): boolean {
  const encoded = (name: string) => readFileSync(join(paths.data, "pki", name)).toString("base64");
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
  if (readIfThere(paths.kubeconfig) === text) return false;
  writeWhole(paths.kubeconfig, text, 0o600);
  return true;
}
