/**
 * Prints what the program registers on a Docker site: type, name and inputs of every network, volume and container, as
 * the official plugin would get them.
 *
 *   node docker_stack.ts IMAGE    with this image for everything
 */
import { dockerSiteYaml, onDocker, provisionOnDocker } from "../support/docker.ts";
import { record } from "../support/recorder.ts";
import { judge } from "../support/settings.ts";

const image = process.argv[2] ?? "";
const site = dockerSiteYaml.replace(
  /images: .*/,
  `images: { training: "${image}", litellm: "${image}" }`,
);
const { plan: decided, problems } = judge(onDocker("", { site, stack: "run" }).settings);
if (problems.length > 0) throw new Error(JSON.stringify(problems));
const { registrations } = await record(() => provisionOnDocker(decided));
const objects = registrations
  .filter(({ type }) => type.startsWith("docker:index/"))
  .map(({ type, inputs }) => ({ type: type.split(":").at(-1), inputs }));
process.stdout.write(JSON.stringify(objects));
