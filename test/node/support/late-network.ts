/** A sandbox on a network that enforces its policies late: what its program's first packets come to. */
import { setTimeout as sleep } from "node:timers/promises";
import { apiService, dnsService, imageNames } from "../../../lab/node/layout.ts";
import { pidOf } from "./hole-parts.ts";
import { kubectl, tryKubectl } from "./lab.ts";

export interface Started {
  /** How a connection to the API server ended while the gate held the sandbox and its network was open. */
  readonly meanwhile: string;
  /** How the sandbox's own first connections ended. */
  readonly connections: Readonly<Record<string, string>>;
  /** Its first datagrams that reached the canary. */
  readonly arrived: readonly string[];
}

const name = "late";

/** The API server and name servers admit everybody, as the canary does. */
const connect = `
import socket
def connect(host, port):
    try:
        socket.create_connection((host, port), 3).close()
        return "reached"
    except OSError as error:
        return type(error).__name__
`;

/** Sends and connects at once; then asks the canary's listener, on the port that is allowed, what has arrived. */
const program = `${connect}
import json, os, urllib.request
host = os.environ["LISTENER"]
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"swe-rl-proof late first", (host, 8999))
targets = {"API server": ("${apiService}", 443), "DNS": ("${dnsService}", 53), "canary": (host, 8999)}
connections = {name: connect(*target) for name, target in targets.items()}
facts = json.load(urllib.request.urlopen(f"http://{host}:8002/facts?run=late", timeout=5))
print(json.dumps({"connections": connections, "arrived": facts["arrived"]}))
`;

/** Starts a sandbox as the trainer does, while kube-router stands still until some seconds after the start of its gate. */
export async function startLate(stack: string, seconds: number): Promise<Started> {
  const namespace = `${stack}-sandbox`;
  const get = (...args: string[]) => kubectl(["get", "-n", namespace, ...args]);
  const listener = kubectl([
    ...["get", "service", "proof-door", "-n", `${stack}-proxy`],
    ...["-o", "jsonpath={.spec.clusterIP}"],
  ]);
  const kubeRouter = await pidOf("kube-router");
  let meanwhile: string;
  process.kill(kubeRouter, "SIGSTOP");
  try {
    const trainer = `--as=system:serviceaccount:${stack}-train:trainer`;
    kubectl(["create", "-n", namespace, trainer, "-f", "-"], sandbox(listener));
    const gate = "jsonpath={.status.initContainerStatuses[0].state.running.startedAt}";
    while (get("pod", name, "-o", gate) === "") await sleep(50);
    const begin = performance.now();
    meanwhile = inGate(namespace);
    await sleep(Math.max(0, seconds * 1000 - (performance.now() - begin)));
  } finally {
    process.kill(kubeRouter, "SIGCONT");
  }
  try {
    kubectl([
      ...["wait", "-n", namespace, `pod/${name}`, "--timeout=60s"],
      "--for=jsonpath={.status.phase}=Succeeded",
    ]);
    const log = kubectl(["logs", "-n", namespace, name, "-c", "main"]);
    return { meanwhile, ...(JSON.parse(log) as Omit<Started, "meanwhile">) };
  } finally {
    tryKubectl(["delete", "pod", name, "-n", namespace, "--now"]);
  }
}

/** Connects from the container that holds the sandbox back. */
function inGate(namespace: string): string {
  const code = `${connect}print(connect("${apiService}", 443))`;
  const container = ["exec", "-n", namespace, name, "-c", "entry-gate"];
  return kubectl([...container, "--", "python3", "-c", code]).trim();
}

function sandbox(listener: string): object {
  const resources = { memory: "64Mi", "ephemeral-storage": "16Mi" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { "harbor-run": "swe-lego-live-rl" } },
    spec: {
      restartPolicy: "Never",
      activeDeadlineSeconds: 120,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "main",
          image: imageNames.python,
          command: ["python3", "-c", program],
          env: [{ name: "LISTENER", value: listener }],
          resources: {
            requests: { cpu: "10m", ...resources },
            limits: { cpu: "100m", ...resources },
          },
        },
      ],
    },
  };
}
