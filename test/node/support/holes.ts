/** Holes in the network around the sandboxes, and which targets the egress proof must name for each. */
import { apiAddress, nodeAddress } from "../../../lab/node/layout.ts";
import { namespaceName, peerPort, roleLabel } from "../../../plan/network/index.ts";
import type { Stack } from "./chain.ts";
import {
  absent,
  addressOnNode,
  listener,
  type Part,
  podNetwork,
  policy,
  present,
  withoutPlugin,
} from "./hole-parts.ts";

export interface Hole {
  readonly name: string;
  /** Holes of a group are open at the same time; what has no group is opened only alone. */
  readonly group?: string;
  /** Targets that the proof must name; only `unknown` where it must say that it can show nothing. */
  readonly named: readonly string[];
  /** What the proof must blame. */
  readonly cause?: string;
  readonly parts: readonly Part[];
}

export interface Verdict {
  readonly named: readonly string[];
  /** The sentence that the user reads. */
  readonly text: string;
}

/** Opens holes, proves, and closes them again. */
export async function drill(stack: Stack, holes: readonly Hole[]): Promise<Verdict> {
  const opened: Part[] = [];
  try {
    for (const part of holes.flatMap(({ parts }) => parts)) {
      opened.unshift(part);
      await part.open(stack.name);
    }
    const { code, stdout, stderr } = await stack.prove();
    const text = stdout.trim();
    if (code === 0) return { named: [], text };
    if (code === 4) return { named: ["unknown"], text };
    const [, leaks] = /^leaks: (.*)\. Likely cause: /s.exec(text) ?? [];
    if (code !== 3 || leaks === undefined) throw new Error(`code ${code ?? "?"}: ${text}${stderr}`);
    return { named: leaks.split("; ").map((leak) => leak.replace(/ \([^(]*\)$/, "")), text };
  } finally {
    for (const part of opened) await part.close(stack.name);
  }
}

const tcp = (port: number) => ({ protocol: "TCP", port });
const udp = (port: number) => ({ protocol: "UDP", port });
const toAddress = (address: string) => ({ ipBlock: { cidr: `${address}/32` } });
const namespace = (name: string) => ({
  namespaceSelector: { matchLabels: { [namespaceName]: name } },
});

/** Sandboxes may send to somebody more: to every port, without any. */
function out(name: string, to: (stack: string) => object, ...ports: object[]): Part {
  return present((stack) => [
    policy(
      { name, namespace: `${stack}-sandbox` },
      { egress: [{ to: [to(stack)], ...(ports.length > 0 ? { ports } : {}) }] },
    ),
  ]);
}

/** Pods of a role admit the sandboxes; all of a namespace, without a role. */
function admitted(where: "train" | "proxy" | "sandbox", role?: string): Part {
  const podSelector = role === undefined ? {} : { matchLabels: { [roleLabel]: role } };
  return present((stack) => [
    policy(
      { name: "admits-sandboxes", namespace: `${stack}-${where}` },
      { podSelector, ingress: [{ from: [namespace(`${stack}-sandbox`)] }] },
    ),
  ]);
}

const proxy = (stack: string) => namespace(`${stack}-proxy`);
const train = (stack: string) => namespace(`${stack}-train`);
const sandboxes = (stack: string) => namespace(`${stack}-sandbox`);
const node = () => toAddress(nodeAddress);
const names = () => namespace("kube-system");
const byDefault = () => namespace("default");

/** What the site file adds to the targets: a Service in another namespace. */
const neighbour = present(() => [
  listener("neighbour", { tcp: 8080, udp: 8080 }),
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "neighbour" },
    spec: {
      clusterIP: "10.0.0.14",
      selector: { app: "neighbour" },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  },
]);

/** Leads to the neighbour from ports of the node that the proof tries. */
const nodePorts = present(() => [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "node-ports" },
    spec: {
      type: "NodePort",
      selector: { app: "neighbour" },
      ports: [
        { name: "tcp", port: 80, targetPort: 8080, nodePort: 32767 },
        { name: "udp", protocol: "UDP", port: 80, targetPort: 8080, nodePort: 32767 },
      ],
    },
  },
]);

const onNode = (name: string, udp: number) =>
  present(() => [listener(name, { tcp: 30080, udp }, { hostNetwork: true })]);

/** Pods have an address by which the plugin does not know them, and a way to the node with it. */
const secondAddress = podNetwork(`
ip route add 198.18.$A.$B dev $HOST
nsenter --net=$POD ip address add 198.18.$A.$B/32 dev eth0
nsenter --net=$POD ip route add 169.254.170.2 via 10.244.0.1 dev eth0 src 198.18.$A.$B
`);
const secondInterface = podNetwork(`
END=second\${HOST#veth}
ip link add $END type veth peer name eth1 netns $POD
ip link set $END up
ip route add 198.19.$A.$B dev $END
nsenter --net=$POD ip address add 198.19.$A.$B/32 dev eth1
nsenter --net=$POD ip link set eth1 up
nsenter --net=$POD ip route add 168.63.129.16 dev eth1 src 198.19.$A.$B
`);
const ipv6 = podNetwork(`
echo 0 > /proc/sys/net/ipv6/conf/$HOST/disable_ipv6
ip address add fe80::1/64 dev $HOST nodad
ip route add fd00:7e57::$A:$B dev $HOST
nsenter --net=$POD sh -ec '
  echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
  ip address add fd00:7e57::$A:$B/128 dev eth0 nodad
  ip route add default via fe80::1 dev eth0
'
`);

/** What only the sandboxes' own policy denies: the other end admits it, or has no policy. */
const behindOwnPolicy = [
  ...["canary", "canary by UDP", "proxy by UDP", "DNS by UDP", "DNS by TCP", "API server"],
  ...["another sandbox", "another sandbox by UDP", "ICMP"],
  // No program listens at the node's UDP ports, and its kernel sends only so many errors.
  ...["own node: kubelet", "own node: API server", "own node: ICMP"],
];

/** The same, but for what is behind rules of older pods, which know no new one: not even the proxy admits it. */
const withoutOlderPods = [
  ...["DNS by UDP", "DNS by TCP", "API server"],
  ...["own node: kubelet", "own node: API server", "own node: ICMP"],
];

/** What the proof blames. */
const enforcesNothing = "the network plugin does not enforce NetworkPolicy at all";
const newPods = "no policy holds for new pods";
const anotherPolicy = "another policy allows it";
const exempt = "the network plugin exempts the pod's own node";
const onlyIpv6 = "only IPv6 gets through";

type Open = readonly [name: string, named: Hole["named"], cause: string, ...parts: Part[]];

/** Opened together, and alone. */
function group(name: string, members: readonly Open[]): Hole[] {
  return alone(members).map((hole) => ({ ...hole, group: name }));
}

function alone(members: readonly Open[]): Hole[] {
  return members.map(([name, named, cause, ...parts]) => ({ name, named, cause, parts }));
}

const sandboxPolicies = (...names: string[]) => absent((stack) => `${stack}-sandbox`, ...names);

const holes: readonly Hole[] = [
  ...group("one end is open", [
    ["default-deny removed", [], "", sandboxPolicies("default-deny")],
    ["sandboxes admit each other", [], "", admitted("sandbox")],
    ["Ray's head admits sandboxes", [], "", admitted("train", "ray-head")],
    ["a neighbour in another namespace", [], "", neighbour],
    ["a NodePort", [], "", neighbour, nodePorts],
    ["a listener with the node's network", [], "", onNode("listener", 30000)],
    ["a metadata address on the node", [], "", addressOnNode("169.254.169.254/32")],
  ]),
  ...group("policies open a port", [
    ["DNS by UDP", ["DNS by UDP"], anotherPolicy, out("dns-udp", names, udp(53))],
    ["DNS by TCP", ["DNS by TCP"], anotherPolicy, out("dns-tcp", names, tcp(53))],
    ["API server", ["API server"], anotherPolicy, out("api", () => toAddress(apiAddress))],
    ["UDP to the proxy", ["proxy by UDP"], anotherPolicy, out("proxy-udp", proxy, udp(8002))],
    ["kubelet", ["own node: kubelet"], exempt, out("kubelet", node, tcp(10250))],
    ["port 6443 of the node", ["own node: API server"], exempt, out("node-api", node, tcp(6443))],
    [
      "a metadata address",
      ["node metadata"],
      anotherPolicy,
      addressOnNode("169.254.169.254/32"),
      out("metadata", () => toAddress("169.254.169.254"), tcp(80)),
    ],
    [
      "an address of the internet",
      ["internet"],
      anotherPolicy,
      addressOnNode("1.1.1.1/32"),
      out("internet", () => toAddress("1.1.1.1"), tcp(443)),
    ],
    [
      "a neighbour",
      ["a neighbour"],
      anotherPolicy,
      neighbour,
      out("neighbour", byDefault, tcp(8080)),
    ],
    [
      "a NodePort by UDP",
      ["own node: ports 30000-32767 by UDP"],
      exempt,
      neighbour,
      nodePorts,
      out("neighbour-udp", byDefault, udp(8080)),
    ],
    [
      "another sandbox",
      ["another sandbox"],
      anotherPolicy,
      out("sandboxes", sandboxes, tcp(peerPort)),
      admitted("sandbox"),
    ],
    ["Ray", ["Ray"], anotherPolicy, out("ray", train, tcp(6379)), admitted("train", "ray-head")],
    [
      "the recorder",
      ["services of training"],
      anotherPolicy,
      out("recorder", train, tcp(8003)),
      admitted("train", "ray-head"),
    ],
  ]),
  ...group("pods have more than their address", [
    [
      "a second address",
      ["node metadata"],
      anotherPolicy,
      addressOnNode("169.254.170.2/32"),
      secondAddress,
    ],
    [
      "a second interface",
      ["node metadata"],
      anotherPolicy,
      addressOnNode("168.63.129.16/32"),
      secondInterface,
    ],
    [
      "IPv6",
      ["internet", "DNS by UDP", "DNS by TCP", "ICMP"],
      onlyIpv6,
      addressOnNode("2606:4700:4700::1111/128"),
      ipv6,
    ],
    [
      "a UDP listener with the node's network",
      ["own node: ports 30000-32767 by UDP"],
      exempt,
      onNode("listener", 32767),
    ],
  ]),
  ...group("new pods have no policy", [
    ["kube-router ended, its rules stay", withoutOlderPods, newPods, withoutPlugin("stay")],
  ]),
  ...alone([
    ["the canary", ["canary"], anotherPolicy, out("canary", proxy, tcp(8999))],
    ["UDP to the canary", ["canary by UDP"], anotherPolicy, out("canary-udp", proxy, udp(8999))],
    [
      "every port of the proxy",
      ["canary", "canary by UDP", "proxy by UDP"],
      anotherPolicy,
      out("proxy", proxy),
    ],
    [
      "every port of the node",
      ["own node: kubelet", "own node: API server", "own node: ICMP"],
      exempt,
      out("node", node),
    ],
    [
      "everything between sandboxes",
      ["another sandbox", "another sandbox by UDP", "ICMP"],
      anotherPolicy,
      out("sandboxes", sandboxes),
      admitted("sandbox"),
    ],
    [
      "sandboxes-to-proxy removed",
      ["unknown"],
      "check the policy",
      sandboxPolicies("sandboxes-to-proxy"),
    ],
    ["all policies of the sandboxes removed", behindOwnPolicy, newPods, sandboxPolicies()],
    [
      "all policies of the stack removed",
      [...behindOwnPolicy, "Ray", "services of training"],
      enforcesNothing,
      ...["sandbox", "proxy", "train"].map((role) => absent((stack) => `${stack}-${role}`)),
    ],
    [
      "kube-router ended, its rules are gone",
      [...behindOwnPolicy, "Ray", "services of training"],
      enforcesNothing,
      withoutPlugin("go"),
    ],
    ["the canary admits nobody", [], "", absent((stack) => `${stack}-proxy`, "proof-door-canary")],
  ]),
];

/** What is opened together, by name. With SWE_RL_HOLES=alone every hole is opened alone. */
export function drills(): [name: string, open: Hole[]][] {
  if (process.env["SWE_RL_HOLES"] === "alone") return holes.map((hole) => [hole.name, [hole]]);
  const found = new Map<string, Hole[]>();
  for (const hole of holes) {
    if (hole.group !== undefined) found.set(hole.group, [...(found.get(hole.group) ?? []), hole]);
  }
  return [...found];
}
