/** What the lab knows about a program that it needs. */
import type { Platform } from "./platform.ts";
import type { Range } from "./version.ts";

export interface Tool {
  /** Name of the executable. */
  readonly name: string;
  /** What it is here for, in a few words. */
  readonly role: string;
  /** Which versions of those already on the machine will do. */
  readonly range: Range;
  readonly find: Find;
  readonly download?: (platform: Platform) => Download | undefined;
  readonly build?: GoBuild;
  /** Takes its place if all else fails. */
  readonly standIn?: StandIn;
}

/** How a copy that is already on the machine is recognised. */
export type Find =
  /** On the PATH; it prints its version when called with these arguments. */
  | { readonly on: "path"; readonly versionArgs: readonly string[]; readonly beside?: string }
  /** In the directory of another tool, if that was found or downloaded: they come together. */
  | { readonly on: "beside"; readonly tool: string }
  /** In the cache of the user's own Pulumi, under its version. A plugin does not tell its version by itself. */
  | { readonly on: "pulumi-plugins"; readonly plugin: string }
  /** It does not tell its version, so no copy can be known to be right. */
  | { readonly on: "nowhere" };

export type Download = FileDownload | ImageDownload;

/** A file, or an archive with executables, from its vendor's site. */
export interface FileDownload {
  readonly kind: "file";
  readonly version: string;
  readonly url: string;
  readonly checksum: ChecksumSource;
  /** Where the executables lie in the archive; absent if the file is the executable. */
  readonly members?: Readonly<Record<string, string>>;
}

/** An executable inside a container image, and a Helm chart that has its custom resource definitions. */
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

/** Where the vendor publishes what the file must hash to. */
export type ChecksumSource =
  /** A text with one hash, or with lines of hash and file name. */
  | { readonly kind: "text"; readonly url: string }
  /** The digests that GitHub keeps of a release's files. */
  | { readonly kind: "github-release"; readonly url: string };

export interface GoBuild {
  readonly version: string;
  /** Folder in `lab/tools/go`. */
  readonly module: string;
  readonly package: string;
  readonly ldflags: readonly string[];
  /** Seconds on two cores with empty caches. */
  readonly seconds: number;
  /** Files of a dependency that belong beside the executable. */
  readonly extras?: {
    readonly module: string;
    readonly from: string;
    readonly to: string;
  };
}

export interface StandIn {
  /** Program in the repository. */
  readonly program: string;
  /** What it can do, for whoever sees that it is used. */
  readonly limits: string;
}

/** Where a tool came from. */
export type Source = "machine" | "download" | "go" | "stand-in";

export interface ObtainedTool {
  readonly name: string;
  readonly version: string;
  readonly source: Source;
  readonly path: string;
  /** The file's origin: a path, an address, a Go package. */
  readonly origin: string;
}
