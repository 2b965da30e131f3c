import { LabError } from "../problem.ts";

/** The machine, in the words of Go, which most vendors use in the names of their files. */
export interface Platform {
  readonly os: "linux" | "darwin";
  readonly arch: "amd64" | "arm64";
}

const architectures: Partial<Record<string, Platform["arch"]>> = { x64: "amd64", arm64: "arm64" };

/** @throws {LabError} If the lab's tools do not exist for this machine. */
export function platformOf(os: string = process.platform, arch: string = process.arch): Platform {
  const known = architectures[arch];
  if ((os !== "linux" && os !== "darwin") || known === undefined) {
    throw new LabError(
      `The lab runs on Linux and macOS on x64 and arm64; this is ${os} on ${arch}. Use such a machine (on Windows: WSL), or work against a real cluster, which needs no lab.`,
    );
  }
  return { os, arch: known };
}
