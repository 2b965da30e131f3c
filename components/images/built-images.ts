import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { ImageBuild } from "../../plan/images/index.ts";
import { endOfUpdate } from "../docker/container.ts";

/** An image, and what it is built from: paths from the program's working directory. */
interface Build extends ImageBuild {
  readonly context: string;
  readonly dockerfile: string;
}

export interface BuiltImagesArgs {
  builds: readonly Build[];
  /**
   * Docker's own config.json, with the right to push.
   * @default the login of the Docker client on this machine
   */
  pushCredentials?: pulumi.Output<string> | undefined;
}

/**
 * Images that the stack makes from its own checkout, and pushes where the nodes pull them. A build takes minutes, with
 * flash-attn hours; an unchanged tree is not built again. Destroy takes nothing out of a registry or off a host.
 */
export class BuiltImages extends pulumi.ComponentResource {
  public readonly images: readonly docker.Image[];
  readonly #digests: ReadonlyMap<string, pulumi.Output<string>>;

  constructor(name: string, args: BuiltImagesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:images:BuiltImages", name, args, opts);
    const { builds, pushCredentials } = args;
    const made = builds.map((build) => {
      const image = new docker.Image(
        `${name}-${build.name}`,
        imageArgs(build, pushCredentials),
        // The plugin deletes no image anyway, and asks for a daemon to do so.
        { parent: this, retainOnDelete: true },
      );
      return { image, reference: build.reference };
    });
    this.images = made.map(({ image }) => image);
    this.#digests = new Map(made.map(({ image, reference }) => [reference, image.repoDigest]));
    this.registerOutputs({ digests: Object.fromEntries(this.#digests) });
  }

  /** An image of these by its digest, once it is there; any other by the name that it has. */
  resolve(reference: string): pulumi.Input<string> {
    return this.#digests.get(reference) ?? reference;
  }
}

function imageArgs(
  { reference, context, dockerfile, args, platform, registry }: Build,
  credentials: pulumi.Output<string> | undefined,
): docker.ImageArgs {
  return {
    imageName: reference,
    build: { context, dockerfile, args, platform },
    skipPush: registry === undefined,
    ...(registry !== undefined && credentials
      ? { registry: credentials.apply((file) => loginOf(file, registry)) }
      : {}),
  };
}

/** Docker Hub's login is kept under its old name. */
const oldHub = "https://index.docker.io/v1/";

/** What a config.json has for a registry. @throws {pulumi.RunError} If that is nothing: the push would fail after the build. */
export function loginOf(configFile: string, registry: string): docker.types.input.Registry {
  const { auths = {} } = JSON.parse(configFile) as { auths?: Record<string, Auth> };
  const names = [registry, `https://${registry}`, ...(registry === "docker.io" ? [oldHub] : [])];
  const auth = names.map((name) => auths[name]).find((one) => one !== undefined);
  const [username = "", ...rest] = auth?.auth
    ? Buffer.from(auth.auth, "base64").toString().split(":")
    : [auth?.username, auth?.password ?? ""];
  const password = rest.join(":");
  if (username === "" || password === "") {
    throw endOfUpdate(
      `the stack secret pushCredentials has no login for ${registry}, so that what is built there could not be pushed. Log in and store it again: docker login ${registry} && pulumi config set --secret swe-rl:pushCredentials < ~/.docker/config.json`,
    );
  }
  return { server: registry, username, password };
}

interface Auth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
}
