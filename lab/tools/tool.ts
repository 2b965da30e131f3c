/** Description of a program that the lab needs. */
import { LabError } from "../problem.ts";
import type { Range } from "./version.ts";

export interface Tool {
  /** Name of the executable. */
  readonly name: string;
  /** Its purpose, in a few words. */
  readonly role: string;
  /** Accepted versions. */
  readonly range: Range;
  readonly find: Find;
  readonly download?: (platform: Platform) => Download | undefined;
  readonly build?: GoBuild;
  /** Used if all other ways fail. */
  readonly standIn?: StandIn;
}

/** How to find an installed copy. */
export type Find =
  /** On the PATH; it prints its version when called with these arguments. */
  | { readonly on: "path"; readonly versionArgs: readonly string[]; readonly beside?: string }
  /** In the directory of another tool that was found or downloaded. */
  | { readonly on: "beside"; readonly tool: string }
  /** In the plugin cache of the user's Pulumi, whose folders name the version; a plugin does not print it. */
  | { readonly on: "pulumi-plugins"; readonly plugin: string }
  /** Not at all: the program does not print its version. */
  | { readonly on: "nowhere" };

export type Download = FileDownload | ImageDownload;

/** A file, or an archive with executables, from its vendor's site. */
export interface FileDownload {
  readonly kind: "file";
  readonly version: string;
  readonly url: string;
  readonly checksum: ChecksumSource;
  /** Paths of the executables in the archive; absent if the file is the executable. */
  readonly members?: Readonly<Record<string, string>>;
}

/** An executable in a container image, and a Helm chart with its custom resource definitions. */
export interface ImageDownload {
  readonly kind: "image";
  readonly version: string;
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  readonly platform: Platform;
  readonly member: string;
  readonly chart: { readonly index: string; readonly name: string; readonly version: string };
}

/** Where the vendor publishes the checksum. */
export type ChecksumSource =
  /** A text of one hash, or of lines with hash and file name. */
  | { readonly kind: "text"; readonly url: string }
  /** GitHub's digests of a release's files. */
  | { readonly kind: "github-release"; readonly url: string };

export interface GoBuild {
  readonly version: string;
  /** Folder in `lab/tools/go`. */
  readonly module: string;
  readonly package: string;
  readonly ldflags: readonly string[];
  /** Seconds on two cores with empty caches. */
  readonly seconds: number;
  /** Files of a dependency to copy beside the executable. */
  readonly extras?: {
    readonly module: string;
    readonly from: string;
    readonly to: string;
  };
}

export interface StandIn {
  /** Program in the repository. */
  readonly program: string;
  /** What it supports, for messages. */
  readonly limits: string;
}

/** The way by which a tool was obtained. */
export type Source = "machine" | "download" | "go" | "debian" | "stand-in";

export interface ObtainedTool {
  readonly name: string;
  readonly version: string;
  readonly source: Source;
  readonly path: string;
  /** The file's origin: a path, an address, a Go package. */
  readonly origin: string;
}

/** Operating system and architecture, with the names of Go, which most vendors use. */
export interface Platform {
  readonly os: "linux" | "darwin";
  readonly arch: "amd64" | "arm64";
}

const architectures: Partial<Record<string, Platform["arch"]>> = { x64: "amd64", arm64: "arm64" };

/** @throws {LabError} If the lab's tools are not available for this machine. */
export function platformOf(os: string = process.platform, arch: string = process.arch): Platform {
  const known = architectures[arch];
  if ((os !== "linux" && os !== "darwin") || known === undefined) {
    throw new LabError(
      `The lab runs on Linux and macOS on x64 and arm64; this is ${os} on ${arch}. Use such a machine (on Windows: WSL), or work against a real cluster, which needs no lab.`,
    );
  }
  return { os, arch: known };
}
