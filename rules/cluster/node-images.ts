/** Whether the nodes have, or can pull, every image that a pod of the stack names. */
import type { ImageBuild } from "../../plan/images/index.ts";
import type { Plan } from "../../plan/plan.ts";
import { imagesOf, type PlannedImages } from "../../plan/resources/index.ts";
import type { NodeFact } from "../../preflight/facts/nodes.ts";
import { admits } from "../../preflight/facts/placement.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";
import { listed } from "./listed.ts";

/** Most images that a message names. */
const mostNamed = 5;

/** Images that a node lists, the largest: the kubelet's `nodeStatusMaxImages`. */
const mostListed = 50;

/** Only a node knows whether it can pull; images that it has already, it need not. */
export const images = defineClusterRule({
  id: "images-there",
  title: "images that the nodes have, or can pull",
  severity: "warn",
  consequence:
    "pods that cannot pull wait until the rollout budget is spent, and a sandbox that cannot fails its trial",
  remedy: "pull it once on a node, or check name and credentials",
  source: "https://github.com/SWE-agent/SWE-agent/issues/1260; docs/decisions.md#c-29",
  check: ({ plan, facts: { nodes, pods } }) => {
    if (!nodes.known) return [notRead(nodes.reason)];
    const missing = wantedBy(plan)
      .map((wanted) => ({ ...wanted, where: nodesFor(plan, wanted, nodes.value) }))
      .filter((wanted) => !wanted.where.some((node) => hasImage(node, wanted)));
    if (missing.length === 0) return [met("each is on some node where its pods run")];
    const failed = pods.known ? pods.value.flatMap(({ failedPulls }) => failedPulls) : [];
    const real = missing.filter(({ where }) => !where.every(({ simulated }) => simulated));
    const lost = real.flatMap((wanted) => {
      const failure = failed.find((one) => isNamed(wanted, one.image));
      return failure ? [{ wanted, failure }] : [];
    });
    const unseen = real.filter((one) => !lost.some(({ wanted }) => wanted === one));
    return distinct([
      ...lost.map(({ failure: { image, reason } }) => ({
        found: `a node could not pull ${image}: ${reason}`,
      })),
      ...unseen.flatMap(({ build }) => (build ? [notBuiltYet(build)] : [])),
      ...notThereYet(unseen.filter(({ build }) => !build)),
      ...(real.length < missing.length ? [notRead("simulated nodes pull nothing")] : []),
    ]);
  },
});

/** An image on the nodes of one purpose, whichever pods name it. */
interface Wanted extends Pick<PlannedImages, "nodes" | "placement"> {
  readonly image: string;
  /** undefined: it is there before the stack. */
  readonly build: ImageBuild | undefined;
}

interface Missing extends Wanted {
  /** Where its pods run, or the whole cluster while there is no such node. */
  readonly where: readonly NodeFact[];
}

function wantedBy(plan: Plan): Wanted[] {
  const all = imagesOf(plan).flatMap(({ images, nodes, placement }) =>
    images.map((image) => ({
      image,
      nodes,
      placement,
      build: plan.builds.find(({ reference }) => reference === image),
    })),
  );
  return [...new Map(all.map((wanted) => [`${wanted.nodes} ${wanted.image}`, wanted])).values()];
}

/**
 * Nodes that Karpenter makes, or that are not ready for the stack yet, cannot be asked: there, what another node could
 * pull counts.
 */
function nodesFor({ nodeClaim }: Plan, { placement }: Wanted, nodes: readonly NodeFact[]) {
  const nodeSelector = Object.fromEntries(
    // A claimed node gets this label only in the course of the update.
    Object.entries(placement.nodeSelector).filter(
      ([key]) => !(nodeClaim && key in nodeClaim.label),
    ),
  );
  const own = nodes.filter((node) => admits({ ...placement, nodeSelector }, node));
  return own.length > 0 ? own : nodes;
}

function hasImage({ images: names }: NodeFact, wanted: Wanted): boolean {
  return names.some((name) => isNamed(wanted, name));
}

/** A node names each image by digest, and by tag where it has one. */
function listsNoMore({ images: names }: NodeFact): boolean {
  return names.filter((name) => name.includes("@")).length >= mostListed;
}

/**
 * Nodes write names out, `docker.io/library/x:1`, and leave out the tag beside a digest. Where one has pulled any build
 * from, it pulls the next as well.
 */
function isNamed({ image, build }: Pick<Wanted, "image" | "build">, name: string): boolean {
  if (build) return name.startsWith(`${build.repository}@`);
  const bare = image.replace(/:[^:/@]+@/, "@");
  return [image, bare]
    .flatMap((one) => [one, `docker.io/${one}`, `docker.io/library/${one}`])
    .includes(name);
}

function notBuiltYet({ reference, repository, registry = "" }: ImageBuild): Verdict {
  return {
    ...notRead(
      `this stack builds ${reference} first, no node has one of ${repository} yet, and only a node can tell whether it can pull from ${registry}`,
    ),
    remedy: `see that nodes may pull from there: stack secret registryCredentials, or their own login`,
  };
}

/** One verdict for each kind of nodes: a pre-pull may name hundreds of images. */
function notThereYet(missing: readonly Missing[]): Verdict[] {
  return [...Map.groupBy(missing, ({ nodes }) => nodes)].map(([nodes, group]) => {
    const names = group.map(({ image }) => image);
    const many = names.length > 1 ? "them" : "it";
    const isFull = group.some(({ where }) => where.some(listsNoMore));
    const list = isFull ? ` among the ${mostListed} largest that it lists` : "";
    return {
      ...notRead(
        `no ${nodes} node shows ${listed(names, mostNamed)}${list} yet, and only a node can tell whether it can pull ${many}`,
      ),
      remedy: `pull ${many} on a node: ${pullOn(group[0]?.placement, names[0] ?? "")}`,
    };
  });
}

/** A command that has a node of the placement pull an image; of an image without the program, the pull shows all the same. */
function pullOn(placement: Wanted["placement"] | undefined, image: string): string {
  const { nodeSelector = {}, tolerations = [] } = placement ?? {};
  const spec = {
    ...(Object.keys(nodeSelector).length > 0 ? { nodeSelector } : {}),
    ...(tolerations.length > 0 ? { tolerations } : {}),
  };
  const where = Object.keys(spec).length > 0 ? ` --overrides='${JSON.stringify({ spec })}'` : "";
  return `kubectl run pull --rm -it --restart=Never --image=${image}${where} -- true`;
}

/** An image that several kinds of nodes lack is named once where the words are the same. */
function distinct(verdicts: readonly Verdict[]): Verdict[] {
  return [...new Map(verdicts.map((verdict) => [verdict.found, verdict])).values()];
}
