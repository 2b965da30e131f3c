/** Certificates of the node's parts, signed by the lab's own authority. */
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../files.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { run } from "../run.ts";
import { apiAddress, apiService, nodeName } from "./layout.ts";

/** Addresses at which the node and its pods call the API server. */
export const apiNames: readonly string[] = [apiService, apiAddress];

export const identities = {
  kubelet: `/O=system:nodes/CN=system:node:${nodeName}`,
  "kube-proxy": "/CN=system:kube-proxy",
  "kube-router": "/CN=kube-router",
} as const;
export type Identity = keyof typeof identities;

const names = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
  "localhost",
];

/** Gives the API server's certificate the addresses at which the node calls it. Key and authority stay. */
export async function extendServingCertificate(paths: LabPaths): Promise<void> {
  const pki = join(paths.data, "pki");
  const file = join(pki, "admin.crt");
  if (!existsSync(file)) return;
  const old = new X509Certificate(readFileSync(file));
  if (apiNames.every((address) => old.checkIP(address) !== undefined)) return;
  const addresses = ["127.0.0.1", "::1", ...apiNames];
  const subject = old.subject.split("\n").join("/");
  await sign(paths, { key: join(pki, "admin.key"), file, subject: `/${subject}` }, [
    ...names.map((name) => `DNS:${name}`),
    ...addresses.map((address) => `IP:${address}`),
  ]);
}

/** Makes key and certificate of an identity, `NAME.key` and `NAME.crt` in the folder. */
export async function issue(paths: LabPaths, identity: Identity, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const key = join(folder, `${identity}.key`);
  await openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]);
  const file = join(folder, `${identity}.crt`);
  await sign(paths, { key, file, subject: identities[identity] }, []);
}

async function sign(
  paths: LabPaths,
  made: { readonly key: string; readonly file: string; readonly subject: string },
  alternatives: readonly string[],
): Promise<void> {
  const pki = join(paths.data, "pki");
  const request = `${made.file}.request`;
  const extensions = `${made.file}.extensions`;
  const draft = `${made.file}.draft`;
  writeWhole(
    extensions,
    [
      "keyUsage=digitalSignature,keyEncipherment",
      "extendedKeyUsage=clientAuth,serverAuth",
      ...(alternatives.length > 0 ? [`subjectAltName=${alternatives.join(",")}`] : []),
    ].join("\n"),
  );
  try {
    await openssl(["req", "-new", "-key", made.key, "-subj", made.subject, "-out", request]);
    await openssl([
      ...["x509", "-req", "-in", request, "-days", "3650", "-extfile", extensions],
      ...["-CA", join(pki, "ca.crt"), "-CAkey", join(pki, "ca.key")],
      ...["-set_serial", String(Date.now()), "-out", draft],
    ]);
    renameSync(draft, made.file);
  } finally {
    for (const file of [request, extensions, draft]) rmSync(file, { force: true });
  }
}

async function openssl(args: readonly string[]): Promise<void> {
  const { code, stderr } = await run("openssl", args);
  if (code !== 0) throw new LabError(`openssl ${args.join(" ")} failed: ${stderr.trim()}`);
}
