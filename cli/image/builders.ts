/** What each builder is called with. Nothing here runs anything. */
import type { ImageName, Variant } from "../../config/schema/recipes.ts";
import type { Source } from "./images.ts";

export const builderNames = ["docker", "buildah", "podman"] as const;
export type BuilderName = (typeof builderNames)[number];

/** A program and its arguments. */
export type Command = readonly [string, ...string[]];

export interface BuildRequest {
  readonly name: ImageName;
  readonly variant: Variant;
  /** Names of the result: push finds it by the local one. */
  readonly tags: Iterable<string>;
  readonly source: Source;
  /** Another base than the Containerfile's own. */
  readonly base?: string | undefined;
  /** Platform to build for, if it is not the machine's own. */
  readonly platform?: string | undefined;
  readonly runAs?: string | undefined;
  /** The user's own arguments for the builder. */
  readonly further: readonly string[];
  readonly containerfile: string;
  readonly context: string;
  /** Where the builder writes the image's id. */
  readonly idFile: string;
}

/** Ends with exit code 0 where the builder can build; docker only with a daemon that answers. */
export function probeCommand(builder: BuilderName): Command {
  return builder === "docker"
    ? ["docker", "version", "--format", "{{.Server.Version}}"]
    : [builder, "info"];
}

export function buildCommand(builder: BuilderName, request: BuildRequest): Command {
  const { name, variant, tags, source, base, platform, runAs } = request;
  const values = {
    ...(name === "training"
      ? { VARIANT: variant, SOURCE_DATE_EPOCH: source.epoch, RUN_AS: runAs }
      : {}),
    BASE: base,
    VERSION: source.version,
    REVISION: source.revision,
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return [
    builder,
    "build",
    ...["--file", request.containerfile, "--iidfile", request.idFile],
    ...Array.from(tags).flatMap((tag) => ["--tag", tag]),
    ...(platform === undefined ? [] : ["--platform", platform]),
    ...given.flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]),
    ...request.further,
    request.context,
  ];
}

/** Prints size in bytes; buildah prints it in words. */
export function sizeCommand(builder: BuilderName, image: string): Command {
  return builder === "buildah"
    ? ["buildah", "images", "--format", "{{.Size}}", image]
    : [builder, "image", "inspect", "--format", "{{.Size}}", image];
}

export function tagCommand(builder: BuilderName, from: string, to: string): Command {
  return [builder, "tag", from, to];
}

/** Ends with exit code 0 where the image is there. */
export function existsCommand(builder: BuilderName, image: string): Command {
  return builder === "buildah"
    ? ["buildah", "inspect", "--type", "image", image]
    : [builder, "image", "inspect", image];
}

/** @param digestFile Where the digest goes; docker prints it instead. */
export function pushCommand(builder: BuilderName, tag: string, digestFile: string): Command {
  return builder === "docker"
    ? ["docker", "push", tag]
    : [builder, "push", "--digestfile", digestFile, tag];
}

/** The last digest in what `docker push` prints. */
export function digestIn(output: string): string | undefined {
  return [...output.matchAll(/digest: (sha256:[0-9a-f]{64})/g)].at(-1)?.[1];
}

/** Runs a command in a new container without a network. buildah starts none. */
export function runInImage(
  builder: Exclude<BuilderName, "buildah">,
  image: string,
  [program, ...args]: Command,
): Command {
  // LiteLLM would ask the internet for prices, and complain; training pods have the same variable.
  const prices = ["--env", "LITELLM_LOCAL_MODEL_COST_MAP=True"];
  const options = ["--rm", "--network", "none", ...prices, "--entrypoint", program];
  return [builder, "run", ...options, image, ...args];
}

/** `7.3 GB` of a number of bytes; words of a builder stay as they are. */
export function sizeInWords(printed: string): string {
  const bytes = Number(printed);
  if (!Number.isFinite(bytes) || printed.trim() === "") return printed.trim() || "unknown";
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** `12 min 5 s` */
export function timeInWords(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
