/** Rules about images that a stack builds itself. */
import { defineRule } from "./rule.ts";

export const buildsStock = defineRule({
  id: "build-fork",
  title: "an image of its own for the fork, where the site has images built",
  severity: "fatal",
  consequence: "the run finds no verl_patch and no harbor_patch in its image, and ends",
  remedy:
    "set verl.distribution to stock, name the fork's image as trainer.image, or choose a site that names images.training",
  source: "docs/training-image.md",
  *check({ host, settings: { experiment } }) {
    const { trainer, verl } = experiment;
    if (!host.builds || verl.distribution !== "fork" || trainer.image !== undefined) return;
    yield {
      path: ["verl", "distribution"],
      found: "is fork, and images.build of the site makes the image of stock",
    };
  },
});

export const buildsForGpus = defineRule({
  id: "build-variant",
  title: "an image with vLLM, where the stack builds it",
  severity: "fatal",
  consequence: "the check of the inputs ends the update: nothing can serve the policy",
  remedy: "leave it out, or rehearse the run: rehearsal: true",
  source: "docs/training-image.md",
  *check({ plan: { builds }, settings: { experiment } }) {
    if (experiment.rehearsal) return;
    if (builds.find(({ name }) => name === "training")?.args["VARIANT"] !== "cpu") return;
    yield { path: ["site", "images", "build", "variant"], found: "is cpu" };
  },
});

export const registryForNodes = defineRule({
  id: "build-registry",
  title: "a registry that the nodes reach by the name that it is pushed to",
  severity: "warn",
  consequence: "every node looks for the registry on itself, and its pods cannot pull",
  remedy:
    "name the registry as the nodes see it, or waive this rule where their container runtime has a mirror for the name",
  source: "https://kind.sigs.k8s.io/docs/user/local-registry/",
  *check({ plan: { builds, dockerHost } }) {
    const registry = dockerHost ? undefined : builds[0]?.registry;
    if (registry === undefined || !isLoopback(registry)) return;
    yield {
      path: ["site", "images", "build", "repository"],
      found: `begins with ${registry}, which is another machine on each node`,
    };
  },
});

function isLoopback(registry: string): boolean {
  return /^(localhost|127(\.\d+){3})(:\d+)?$/.test(registry);
}
