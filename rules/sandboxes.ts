/** Rules about what sandboxes may be, how long they live, and where their images come from. */
import { defineRule } from "./rule.ts";

export const deadline = defineRule({
  id: "sandbox-deadline",
  title: "sandboxes live as long as the longest trial, in training and in validation",
  severity: "fatal",
  consequence: "Kubernetes ends sandboxes before their verifier has run",
  remedy: "leave it out, or raise it",
  source: "docs/decisions.md#deadlines-of-a-sandbox",
  *check({ plan: { sandboxes } }) {
    for (const [key, life] of [
      ["pod_active_deadline_seconds", sandboxes.life.training],
      ["val_pod_active_deadline_seconds", sandboxes.life.validation],
    ] as const) {
      const { start, setup, agent, verifier, longest, deadline } = life;
      if (deadline >= longest) continue;
      const running = setup + agent + verifier;
      const late = deadline >= running;
      yield {
        ...(late ? { severity: "warn" as const } : {}),
        path: ["k8s", key],
        found: `is ${deadline} s, but a trial may take ${running} s (set-up ${setup}, agent ${agent}, verifier ${verifier})${late ? ` after a start of up to ${start} s` : ""}`,
        ...(late
          ? {
              consequence:
                "Kubernetes ends the sandboxes of late starters before their verifier has run",
            }
          : {}),
        remedy: `leave it out, or choose at least ${longest}`,
      };
    }
  },
});

export const hostPaths = defineRule({
  id: "sandbox-host-path",
  title: "no hostPath in sandboxes",
  severity: "fatal",
  consequence: "pod security baseline refuses the pod, so every trial fails",
  remedy: "put the files into the task images",
  source: "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
  unwaivable: "the API server would refuse every sandbox",
  *check({ settings: { experiment } }) {
    const mounts = experiment.harbor_agent.host_path_mounts ?? [];
    if (mounts.length === 0) return;
    yield {
      path: ["harbor_agent", "host_path_mounts"],
      found: `names ${mounts.length} hostPath ${mounts.length === 1 ? "mount" : "mounts"}`,
    };
  },
});

export const quota = defineRule({
  id: "sandbox-quota",
  title: "the quota admits every trial that can run at once",
  severity: "fatal",
  consequence: "the API server refuses the other pods, and their trials fail",
  remedy: "raise sandbox.parallel_trials",
  source: "docs/decisions.md#d-26",
  *check({ settings: { experiment }, plan: { asyncTraining, batches } }) {
    const { parallel_trials: admitted } = experiment.sandbox;
    const { num_workers: workers } = experiment.harbor_runtime;
    const prompts = asyncTraining?.maxConcurrentSamples;
    const needed = prompts === undefined ? workers : prompts * batches.trialsPerPrompt;
    if (admitted >= needed) return;
    const what =
      prompts === undefined
        ? `harbor_runtime.num_workers ${workers}`
        : `the ${prompts} prompts in flight × ${batches.trialsPerPrompt} trials = ${needed}`;
    yield {
      path: ["sandbox", "parallel_trials"],
      found: `is ${admitted}, less than ${what}`,
      remedy: `choose at least ${needed}`,
    };
  },
});

export const profile = defineRule({
  id: "sandbox-profile",
  title: "sandboxes without capabilities beyond the container runtime's own",
  severity: "warn",
  consequence:
    "every sandbox carries a container with NET_ADMIN and NET_RAW, and the namespace enforces no pod security level",
  remedy: "leave sandbox.profile at standard, whose network policies close more",
  source: "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
  *check({ settings: { experiment } }) {
    if (experiment.sandbox.profile !== "sidecar") return;
    yield { path: ["sandbox", "profile"], found: "is sidecar" };
  },
});

export const firewallImage = defineRule({
  id: "C-29",
  title: "an image of the in-pod firewall where the sandbox profile has it",
  severity: "fatal",
  consequence: "Harbor raises for every pod",
  remedy: "name harbor.netadmin_image in the site file, or leave sandbox.profile at standard",
  source: "docs/decisions.md#c-29",
  *check({ settings: { experiment }, host }) {
    if (experiment.sandbox.profile !== "sidecar" || host.harbor.netadmin_image !== undefined)
      return;
    yield {
      path: ["sandbox", "profile"],
      found: "is sidecar, but the site names no harbor.netadmin_image",
    };
  },
});

export const taskImages = defineRule({
  id: "C-27",
  title: "a registry with the task images",
  severity: "fatal",
  consequence: "sandboxes have no source of task images, and their pods never start",
  remedy: "name the registry with the prebuilt images",
  source: "docs/decisions.md#c-27",
  *check({ host }) {
    // On a Docker host Harbor builds them.
    if (host.docker || host.harbor.task_image_registry !== undefined) return;
    yield { path: ["site", "harbor", "task_image_registry"], found: "is not set" };
  },
});

export const inlineBuild = defineRule({
  id: "inline-build",
  title: "no builds of task images inside sandboxes",
  severity: "fatal",
  consequence:
    "every trial fails: the build needs the task's directory as a hostPath, which admission refuses in every profile",
  remedy: "set it to false, and name the registry with prebuilt images",
  source:
    "docs/decisions.md#c-27; https://kubernetes.io/docs/concepts/security/pod-security-standards/",
  unwaivable: "the API server would refuse every sandbox",
  *check({ host }) {
    if (host.docker || !host.harbor.inline_build) return;
    yield { path: ["site", "harbor", "inline_build"], found: "is true" };
  },
});

export const validationMirror = defineRule({
  id: "C-28",
  title: "a mirror for the validation images, which lie on Docker Hub",
  severity: "warn",
  consequence: "where nodes cannot pull from Docker Hub every validation reward is 0",
  remedy: "name a mirror, or waive this rule where nodes reach Docker Hub",
  source: "docs/decisions.md#c-28",
  *check({ host }) {
    if (host.docker || host.harbor.nydus_mirror !== undefined) return;
    yield { path: ["site", "harbor", "nydus_mirror"], found: "is not set" };
  },
});

export const acceptedTargets = defineRule({
  id: "accepted-target",
  title: "targets that the site accepts are targets of the egress proof",
  severity: "fatal",
  consequence: "a misspelt name accepts nothing, although it seems to",
  remedy: "write the name as the proof's verdict does",
  source: "docs/isolation.md",
  *check({ host, plan: { isolation } }) {
    const names = isolation.targets.map(({ name }) => name);
    for (const [i, { target }] of host.isolation.accepted.entries()) {
      if (names.includes(target)) continue;
      yield {
        path: ["site", "isolation", "accepted", i, "target"],
        found: `"${target}" is no target of the egress proof, whose targets are: ${names.join("; ")}`,
      };
    }
  },
});
