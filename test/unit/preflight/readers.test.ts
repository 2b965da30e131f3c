import { describe, expect, it } from "vitest";
import { readAdmission } from "../../../preflight/facts/admission.ts";
import { featuresOf, readApis } from "../../../preflight/facts/apis.ts";
import { ApiError, type Call, type Client } from "../../../preflight/facts/client.ts";
import { readNetworkAgents } from "../../../preflight/facts/cni.ts";
import { readNamesakes } from "../../../preflight/facts/namesakes.ts";
import { readOtherPolicies, readPolicies } from "../../../preflight/facts/policies.ts";
import { readMissingRights, rightsOf } from "../../../preflight/facts/rights.ts";
import { known } from "../../support/facts.ts";
import { planWith } from "../../support/settings.ts";
import { recordTier } from "../../support/tier.ts";

const { plan } = planWith();

/** A stand-in for the API server: lists by path, and what it says to what is posted. */
function client(
  lists: Readonly<Record<string, object[]>>,
  post: (path: string, body: never) => unknown = () => ({}),
): Client {
  return {
    get: (path: string) => Promise.resolve(lists[path]?.[0]),
    list: (path: string, _call?: Call) => Promise.resolve(lists[path] ?? []),
    post: (path: string, body: never) => Promise.resolve().then(() => post(path, body)),
    close: () => undefined,
  } as Client;
}

describe("the kinds that are served", () => {
  const group = (name: string, version: string, ...resources: string[]) => ({
    metadata: { name },
    versions: [{ version, resources: resources.map((resource) => ({ resource })) }],
  });

  it("come from one answer, with all their versions", async () => {
    const ray = group("ray.io", "v1", "rayclusters", "rayjobs");
    const items = [
      { ...ray, versions: [...ray.versions, ...group("", "v1alpha1", "rayclusters").versions] },
      group("admissionregistration.k8s.io", "v1beta1", "mutatingadmissionpolicies"),
    ];
    const apis = await readApis(client({ "/apis": [{ kind: "APIGroupDiscoveryList", items }] }));
    expect(apis.known && apis.value.get("rayclusters.ray.io")).toEqual(["v1", "v1alpha1"]);
    expect(featuresOf(known("v1.34.4+k3s1"), apis)).toEqual(
      known({
        minor: 34,
        validatingAdmissionPolicy: [],
        mutatingAdmissionPolicy: ["v1beta1"],
        imageVolumes: false,
        userNamespaces: true,
      }),
    );
  });

  it("are unknown of a server that gives no such answer", async () => {
    const apis = await readApis(client({ "/apis": [{ kind: "APIGroupList" }] }));
    expect(apis.known).toBe(false);
  });
});

describe("a network agent", () => {
  const daemonSet = (name: string, container: object = {}) => ({
    metadata: { name, namespace: "kube-system" },
    spec: { template: { spec: { containers: [container] } } },
  });
  const read = async (set: object) => {
    const found = await readNetworkAgents(client({ "/apis/apps/v1/daemonsets": [set] }));
    return found.known ? found.value : [];
  };

  it.each<[string, object, boolean | undefined]>([
    ["calico-node", {}, true],
    ["cilium", {}, true],
    ["antrea-agent", {}, true],
    ["kube-router", { args: ["--run-router=true"] }, true],
    ["kube-router", { args: ["--run-firewall=false"] }, false],
    ["kube-flannel-ds", {}, false],
    ["kube-flannel", {}, false],
    ["kindnet", {}, undefined],
    ["aws-node", { args: ["--enable-network-policy=false"] }, false],
    ["aws-node", { args: ["--enable-network-policy=true"] }, true],
  ])("%s with %j", async (name, container, enforces) => {
    expect(await read(daemonSet(name, container))).toMatchObject([{ enforces }]);
  });

  it("is late only where it is not strict", async () => {
    const strict = { env: [{ name: "NETWORK_POLICY_ENFORCING_MODE", value: "strict" }] };
    expect((await read(daemonSet("aws-node", strict)))[0]?.late).toBeUndefined();
    expect((await read(daemonSet("aws-node")))[0]?.late).toContain("standard mode");
  });

  it("is none where nobody knows the name", async () => {
    expect(await read(daemonSet("node-exporter"))).toEqual([]);
  });
});

describe("the account's rights", () => {
  const right = (path: string, verbs: readonly string[]) => (asked: string, body: Review) => {
    expect(asked).toBe("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    const { verb, group, resource, subresource } = body.spec.resourceAttributes;
    const what = [resource, subresource].filter(Boolean).join("/") + (group && `.${group}`);
    return { status: { allowed: what === path ? verbs.includes(verb) : path !== "*" } };
  };
  interface Review {
    readonly spec: {
      readonly resourceAttributes: {
        readonly verb: string;
        readonly group: string;
        readonly resource: string;
        readonly subresource?: string;
      };
    };
  }

  it("are all there where it may do everything: one question", async () => {
    let questions = 0;
    const all = client({}, () => {
      questions++;
      return { status: { allowed: true } };
    });
    expect(await readMissingRights(all, plan)).toEqual(known([]));
    expect(questions).toBe(1);
  });

  it("are missed one by one", async () => {
    const judge = right("rayclusters.ray.io", ["get", "list", "watch"]);
    const some = client({}, (path, body: Review) =>
      body.spec.resourceAttributes.verb === "*"
        ? { status: { allowed: false } }
        : judge(path, body),
    );
    const rest = { group: "ray.io", resource: "rayclusters", namespace: "run-train" };
    expect(await readMissingRights(some, plan)).toEqual(
      known(["create", "patch", "delete"].map((verb) => ({ verb, ...rest }))),
    );
  });

  it("hold those that the stack's roles grant: nobody may grant what he does not have", async () => {
    const { recording, plan: recorded } = await recordTier();
    const held = new Set(
      rightsOf(recorded).map((right) =>
        [right.verb, right.group, right.resource, right.namespace].join(" "),
      ),
    );
    const roles = recording.objects("Role") as unknown as {
      metadata: { namespace: string };
      rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
    }[];
    const granted = roles.flatMap(({ metadata, rules }) =>
      rules.flatMap(({ apiGroups, resources, verbs }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) =>
            verbs.map((verb) => [verb, group, resource, metadata.namespace].join(" ")),
          ),
        ),
      ),
    );
    expect(granted.length).toBeGreaterThan(10);
    expect(granted.filter((right) => !held.has(right))).toEqual([]);
  });
});

describe("admission", () => {
  const none = Promise.resolve(known([]));
  const there = Promise.resolve(known([{ name: "run-train", labels: {}, terminating: false }]));

  it("is asked by dry runs: of the namespaces that are not there, of a pod where one is", async () => {
    const asked: string[] = [];
    const stub = client({}, (path) => asked.push(path));
    expect(await readAdmission(stub, there, plan)).toMatchObject({ value: { refused: [] } });
    expect(asked.sort()).toEqual([
      "/api/v1/namespaces",
      "/api/v1/namespaces",
      "/api/v1/namespaces/run-train/pods",
    ]);
  });

  it("that refuses is told by what it says; missing rights and quotas are others' matter", async () => {
    const answers = (message: string) =>
      client({}, () => {
        throw new ApiError(403, message);
      });
    const refused = await readAdmission(answers('admission webhook "k" denied'), none, plan);
    expect(refused.known && refused.value.refused.length).toBe(3);
    const forbidden = 'User "x" cannot create resource "namespaces"';
    for (const message of [forbidden, "exceeded quota: team"]) {
      const other = await readAdmission(answers(message), none, plan);
      expect(other.known && other.value.refused).toEqual([]);
    }
  });

  it("names who looks at pods, and not what looks at others or is ours", async () => {
    const registration = "/apis/admissionregistration.k8s.io/v1";
    const webhook = (name: string, resources: string[]) => ({
      metadata: { name },
      webhooks: [{ rules: [{ apiGroups: [""], resources }] }],
    });
    const policy = (name: string, labels: object) => ({
      metadata: { name, labels },
      spec: { matchConstraints: { resourceRules: [{ apiGroups: ["*"], resources: ["*"] }] } },
    });
    const lists = {
      [`${registration}/validatingwebhookconfigurations`]: [webhook("kyverno", ["*/*"])],
      [`${registration}/mutatingwebhookconfigurations`]: [
        webhook("volumes", ["persistentvolumes"]),
      ],
      [`${registration}/validatingadmissionpolicies`]: [
        policy("team", {}),
        policy("own", { "swe-rl.dev/stack": "run" }),
      ],
    };
    const found = await readAdmission(client(lists), none, plan);
    expect(found.known && found.value.watchers).toEqual(["webhook kyverno", "policy team"]);
  });
});

describe("what others have made in the stack's namespaces", () => {
  it("are policies that open, and policies that do not", async () => {
    const path = "/apis/networking.k8s.io/v1/namespaces/run-sandbox/networkpolicies";
    const policies = [
      { metadata: { name: "open" }, spec: { egress: [{}] } },
      { metadata: { name: "closed" }, spec: { policyTypes: ["Egress"] } },
    ];
    expect(await readPolicies(client({ [path]: policies }), plan.names)).toMatchObject({
      value: [
        { name: "open", namespaceRole: "sandbox", allowsEgress: true, allowsIngress: false },
        { name: "closed", allowsEgress: false },
      ],
    });
  });

  it("are policies of other kinds, where such a kind is served", async () => {
    const apis = Promise.resolve(known(new Map([["ciliumnetworkpolicies.cilium.io", ["v2"]]])));
    const object = (namespace: string) => ({ metadata: { name: "open", namespace } });
    const lists = {
      "/apis/cilium.io/v2/ciliumnetworkpolicies": [object("run-sandbox"), object("elsewhere")],
    };
    expect(await readOtherPolicies(client(lists), apis, plan.names)).toEqual(
      known(["ciliumnetworkpolicies.cilium.io run-sandbox/open"]),
    );
  });

  it("are objects with the stack's names, and no others", async () => {
    const namespaces = Promise.resolve(
      known([{ name: "run-train", labels: {}, terminating: false }]),
    );
    const named = (name: string) => ({ metadata: { name } });
    const lists = { "/apis/batch/v1/namespaces/run-train/jobs": [named("trainer"), named("x")] };
    expect(await readNamesakes(client(lists), namespaces, plan)).toEqual(
      known(["jobs run-train/trainer"]),
    );
  });
});
