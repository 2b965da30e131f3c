import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { BuiltImages } from "../components/images/built-images.ts";
import type { ResolveImage } from "../components/images/reference.ts";
import type { Plan } from "../plan/plan.ts";
import { buildContext } from "./build-context.ts";

/** Builds what the stack is to build. @returns What objects name for an image of the Plan. */
export function buildImages(
  plan: Pick<Plan, "builds">,
  parts: {
    pushCredentials?: pulumi.Output<string> | undefined;
    /** Not called unless there is something to build. */
    provider: () => docker.Provider;
  },
): ResolveImage {
  const { pushCredentials, provider } = parts;
  if (plan.builds.length === 0) return (reference) => reference;
  const builds = plan.builds.map((build) => ({ ...build, ...buildContext(build.name, build.tag) }));
  const images = new BuiltImages("images", { builds, pushCredentials }, { provider: provider() });
  return (reference) => images.resolve(reference);
}

/**
 * The daemon of the machine that runs Pulumi ($DOCKER_HOST). The plugin refuses to be configured where none answers,
 * even for a preview; with a host that is not known yet, the engine previews what it can without the plugin.
 */
export function localBuilder(absent: boolean): docker.Provider {
  if (!absent || !pulumi.runtime.isDryRun()) return new docker.Provider("image-builder", {});
  const host = pulumi.output(pulumi.unknown) as pulumi.Output<unknown> as pulumi.Output<string>;
  return new docker.Provider("image-builder", { host });
}
