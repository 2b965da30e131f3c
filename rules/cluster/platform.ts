/** Version of Kubernetes, KubeRay's operator, and what builds images. */
import { rayOperator } from "./cluster.ts";
import { defineClusterRule, met, notRead } from "../rule.ts";

/** The first that serves validating admission policies as v1 and knows every field that we set. */
const leastMinor = 30;

export const kubernetesVersion = defineClusterRule({
  id: "kubernetes-version",
  title: "Kubernetes 1.30 or newer",
  severity: "fatal",
  consequence: "the API server would refuse or ignore what isolates the sandboxes",
  remedy: "upgrade the control plane, or name another cluster in cluster.context of the site file",
  source:
    "https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/3488-cel-admission-control",
  check: ({ facts: { server, features } }) => {
    if (!server.known) return [];
    const minor = Number(/^v1\.(\d+)/.exec(server.value)?.[1] ?? Number.NaN);
    if (Number.isNaN(minor)) return [notRead(`the API server calls itself ${server.value}`)];
    if (minor < leastMinor) return [{ found: server.value }];
    const mutating = features.known ? features.value.mutatingAdmissionPolicy : [];
    const offers = mutating.length > 0 ? `; MutatingAdmissionPolicy ${mutating.join(", ")}` : "";
    return [met(`${server.value}${offers}`)];
  },
});

export const kuberayOperator = defineClusterRule({
  id: "kuberay-operator",
  title: "a KubeRay operator 1.6 or newer with a ready pod",
  severity: "fatal",
  consequence: "the RayCluster would be accepted, but no operator would create its pods",
  remedy:
    "helm repo update && helm upgrade kuberay-operator kuberay/kuberay-operator -n kuberay-system",
  source: "https://github.com/ray-project/kuberay/releases/tag/v1.6.0",
  check: ({ facts: { operator, rayClusterVersions } }) => {
    // Without the kind there is no operator; kuberay-installed says so.
    if (rayClusterVersions.known && rayClusterVersions.value.length === 0) return [];
    if (!operator.known) return [notRead(operator.reason)];
    const found = operator.value;
    if (!found) {
      const reason = "no Deployment of this cluster looks like it; it may run elsewhere";
      const remedy = `see that it runs: a RayCluster gets pods within seconds; else ${rayOperator.remedy}`;
      return [{ ...notRead(reason), remedy }];
    }
    const { namespace, name, image, version, ready } = found;
    const what = `${namespace}/${name} (${image})`;
    if (ready === 0) {
      return [
        {
          found: `no pod of ${what} is ready`,
          remedy: `see why: kubectl describe deployment ${name} -n ${namespace}`,
        },
      ];
    }
    if (version === undefined) return [notRead(`the image of ${what} tells no version`)];
    const [major = 0, minor = 0] = version.split(".").map(Number);
    if (major < 1 || (major === 1 && minor < 6)) return [{ found: what }];
    return [met(what)];
  },
});

/** The plugin is configured with a daemon or not at all: without one nothing is built, and nothing is updated. */
export const builder = defineClusterRule({
  id: "image-builder",
  title: "a Docker daemon where Pulumi runs, which builds the images of images.build",
  severity: "fatal",
  consequence: "nothing could be built, and the update would end half-way",
  remedy:
    "start Docker here or set DOCKER_HOST to a daemon; or make the image elsewhere by npm run image, and name it as images.training in place of images.build",
  source: "docs/training-image.md#built-by-the-stack",
  check: ({ plan, preview = false, facts: { builder: fact } }) => {
    if (plan.builds.length === 0) return [];
    if (!fact.known) return [notRead(fact.reason)];
    if ("version" in fact.value) return [met(`Docker ${fact.value.version}`)];
    const { absent } = fact.value;
    if (!preview) return [{ found: absent }];
    return [
      {
        severity: "warn",
        found: absent,
        consequence:
          "this preview shows everything that uses the images as changed, and pulumi up from here would end before it begins",
      },
    ];
  },
});
