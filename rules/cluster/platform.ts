/** Version of Kubernetes, KubeRay's operator, and images. */
import { ruleById } from "../index.ts";
import { broken, type Finding, met, unknown } from "../finding.ts";
import type { Rule } from "./rule.ts";

/** The first that serves validating admission policies as v1 and knows every field that we set. */
const leastMinor = 30;

export const kubernetesVersion: Rule = ({ facts: { server, features } }) => {
  const id = "kubernetes-version";
  if (!server.known) return [];
  const minor = Number(/^v1\.(\d+)/.exec(server.value)?.[1] ?? Number.NaN);
  if (Number.isNaN(minor)) return [unknown(id, `the API server calls itself ${server.value}`)];
  if (minor < leastMinor) return [broken(id, { found: server.value })];
  const mutating = features.known ? features.value.mutatingAdmissionPolicy : [];
  const offers = mutating.length > 0 ? `; MutatingAdmissionPolicy ${mutating.join(", ")}` : "";
  return [met(id, `${server.value}${offers}`)];
};

export const kuberayOperator: Rule = ({ facts: { operator, rayClusterVersions } }) => {
  const id = "kuberay-operator";
  // Without the kind there is no operator; kuberay-installed says so.
  if (rayClusterVersions.known && rayClusterVersions.value.length === 0) return [];
  if (!operator.known) return [unknown(id, operator.reason)];
  const found = operator.value;
  if (!found) {
    const reason = "no Deployment of this cluster looks like it; it may run elsewhere";
    const remedy = `see that it runs: a RayCluster gets pods within seconds; else ${ruleById["kuberay-installed"].remedy}`;
    return [{ ...unknown(id, reason), remedy }];
  }
  const { namespace, name, image, version, ready } = found;
  const what = `${namespace}/${name} (${image})`;
  if (ready === 0) {
    return [
      broken(id, {
        found: `no pod of ${what} is ready`,
        remedy: `see why: kubectl describe deployment ${name} -n ${namespace}`,
      }),
    ];
  }
  if (version === undefined) return [unknown(id, `the image of ${what} tells no version`)];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < 1 || (major === 1 && minor < 6)) return [broken(id, { found: what })];
  return [met(id, what)];
};

/** Only a node knows whether it can pull; images that it has already, it need not. */
export const images: Rule = ({ plan, facts: { nodes } }) => {
  const id = "images-there";
  if (!nodes.known) return [unknown(id, nodes.reason)];
  const there = new Set(nodes.value.flatMap((node) => node.images));
  const wanted = [
    plan.ray.image,
    ...(plan.proxy.mode === "litellm" ? [plan.proxy.image] : []),
    ...plan.serving.map(({ image }) => image),
  ];
  const missing = [...new Set(wanted)].filter((image) => !has(there, image));
  if (missing.length === 0) return [met(id, "each is on some node")];
  if (nodes.value.every(({ simulated }) => simulated)) {
    return [unknown(id, "simulated nodes pull nothing")];
  }
  return missing.map((image): Finding => ({
    ...unknown(id, `no node has ${image} yet, and only a node can tell whether it can pull it`),
    remedy: `pull it on a node: kubectl run pull --rm -it --restart=Never --image=${image} -- true`,
  }));
};

/** Nodes write names out: `docker.io/library/x:1`. */
function has(there: ReadonlySet<string>, image: string): boolean {
  return [image, `docker.io/${image}`, `docker.io/library/${image}`].some((name) =>
    there.has(name),
  );
}
