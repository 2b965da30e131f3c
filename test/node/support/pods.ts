import { imageNames } from "../../../lab/node/layout.ts";
import { kubectl, tryKubectl } from "./lab.ts";

/** Accepts connections and says how many it has had. */
const server = `
import socket
listener = socket.create_server(("0.0.0.0", 8080))
count = 0
while True:
    connection, _ = listener.accept()
    count += 1
    connection.sendall(str(count).encode())
    connection.close()
`;

export function pod(name: string, code: string) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: "main",
          image: imageNames.python,
          imagePullPolicy: "Never",
          command: ["python3", "-u", "-c", code],
        },
      ],
    },
  };
}

const client = pod("client", "import time; print('runs'); time.sleep(3600)");

/** The size of the largest pod of a training node. */
const large = { cpu: "180", memory: "1Ti", "nvidia.com/gpu": "8" };

export const claim = {
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "data" },
  spec: {
    storageClassName: "swe-rl-lab",
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "200Gi" } },
  },
};

/**
 * The client asks for as much as a trainer, has a volume as a trainer has, and an image as a volume as sandboxes have
 * the agent's runtime.
 */
export const pods = {
  server: pod("server", server),
  client: {
    ...client,
    spec: {
      ...client.spec,
      containers: client.spec.containers.map((container) => ({
        ...container,
        resources: { requests: large, limits: large },
        volumeMounts: [
          { name: "image", mountPath: "/image" },
          { name: "data", mountPath: "/data" },
        ],
      })),
      volumes: [
        { name: "image", image: { reference: imageNames.pause, pullPolicy: "Never" } },
        { name: "data", persistentVolumeClaim: { claimName: "data" } },
      ],
    },
  },
};

export const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "server" },
  spec: { selector: { app: "server" }, ports: [{ port: 80, targetPort: 8080 }] },
};

export const denial = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "deny" },
  spec: { podSelector: { matchLabels: { app: "server" } }, policyTypes: ["Ingress"] },
};

export function apply(...items: object[]): void {
  kubectl(["apply", "-f", "-"], { apiVersion: "v1", kind: "List", items });
}

/** Runs Python in the client's pod. */
export function inClient(code: string): string {
  return kubectl(command(code)).trim();
}

function command(code: string): string[] {
  return ["exec", "client", "--", "python3", "-c", code];
}

/**
 * Opens a connection from the client.
 * @returns What the other side sends, or the name of the error, or why the pod did not try.
 */
export function connect(host: string, port: number): string {
  const { stdout, stderr } = tryKubectl(
    command(`
import socket
try:
    with socket.create_connection((${JSON.stringify(host)}, ${port}), timeout=2) as connection:
        print(connection.recv(100).decode())
except OSError as error:
    print(type(error).__name__, error.errno)
`),
  );
  return (stdout || stderr).trim();
}

/** Tries until the answer is as wanted; returns the last one. */
export function until(wanted: RegExp, attempt: () => string, seconds = 20): string {
  const deadline = Date.now() + seconds * 1000;
  let answer = attempt();
  while (!wanted.test(answer) && Date.now() < deadline) answer = attempt();
  return answer;
}

export function waitForPods(...names: string[]): void {
  kubectl([
    "wait",
    "--for=condition=Ready",
    "--timeout=60s",
    ...names.map((name) => `pod/${name}`),
  ]);
}

export function phaseOf(name: string): string {
  return tryKubectl(["get", "pod", name, "-o", "jsonpath={.status.phase}"]).stdout;
}
