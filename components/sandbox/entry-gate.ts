/** PLACEHOLDER of the branch gate2's file: only so that admission can be tried before the merge. */
import type { Gate } from "./admission/gate.ts";

export function entryGate(): Gate {
  return {
    name: "entry-gate",
    image: "docker.io/library/python:3.13.5-slim-bookworm",
    imagePullPolicy: "IfNotPresent",
    command: ["python3", "-I", "-S", "-c", "print('gate')\n"],
    env: [
      { name: "CANARY", value: "10.96.0.42:8003" },
      { name: "WITNESS", value: "10.96.0.42:8004" },
      { name: "PROXY", value: "10.96.0.42:8002" },
      { name: "TIMEOUT_SECONDS", value: "120" },
      { name: "QUIET_SECONDS", value: "2" },
    ],
    resources: {
      requests: { cpu: "10m", memory: "32Mi", "ephemeral-storage": "16Mi" },
      limits: { memory: "64Mi", "ephemeral-storage": "16Mi" },
    },
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}
