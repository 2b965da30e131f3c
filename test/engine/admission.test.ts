import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type SandboxProfile, sandboxProfiles } from "../../config/schema/sandbox.ts";
import type { KubernetesObject } from "../support/recorder.ts";
import {
  harborPod,
  harborPods,
  incompletions,
  type SandboxPod,
  violations,
} from "../support/sandbox-pods.ts";
import { projectRoot } from "../support/settings.ts";
import { recordTier } from "../support/tier.ts";
import { Project } from "./support/project.ts";
import { apply, sandboxObjects, verdicts } from "./support/sandboxes.ts";

/**
 * The sandbox namespaces of every profile on a real API server, without the rest of their stacks. Pods are tried as the
 * trainer would make them and never made, so nothing here says how they would run.
 */
describe("admission of sandboxes", () => {
  let project: Project;
  const applied: KubernetesObject[] = [];
  const render = async (
    stack: string,
    options: { yaml?: string; site?: object; enforced?: boolean; maxima?: boolean } = {},
  ) => {
    const { yaml = "", enforced = true } = options;
    const { recording } = await recordTier(yaml, {
      stack,
      ...(options.site ? { site: options.site } : {}),
    });
    const objects = sandboxObjects(recording, enforced).map((object) =>
      options.maxima === false && object.kind === "LimitRange" ? withoutMaxima(object) : object,
    );
    await apply(project, objects);
    applied.push(...objects);
  };
  const profiled = (profile: SandboxProfile, more = "") =>
    `sandbox: { profile: ${profile}${more} }`;
  const harbor = {
    task_image_registry: "swe-rl.invalid/tasks",
    inline_build: false,
    netadmin_image: "swe-rl.invalid/netadmin:1",
  };

  beforeAll(async () => {
    project = new Project();
    await apply(
      project,
      ["gvisor", "kata"].map((name) => ({
        apiVersion: "node.k8s.io/v1",
        kind: "RuntimeClass",
        metadata: { name, labels: {} },
        handler: name,
      })),
    );
    for (const profile of sandboxProfiles) {
      await render(nameOf(profile), { yaml: profiled(profile), site: { harbor } });
    }
    // Without pod security and the limits' maxima, which would refuse first, each rule speaks for itself.
    await render("open", { enforced: false, maxima: false });
    await render("strict", {
      enforced: false,
      yaml: profiled(
        "standard",
        ", allowed_registries: [registry.example.com/tasks], require_digest: true",
      ),
    });
    await project.kubectl("create", "serviceaccount", "other", "-n", "open-sandbox");
    await awaitPolicies(project, ["open", "strict", ...sandboxProfiles.map(nameOf)]);
  });
  afterAll(async () => {
    project.write(
      "objects.json",
      JSON.stringify({ apiVersion: "v1", kind: "List", items: applied }),
    );
    await project.kubectl("delete", "-f", "objects.json", "--ignore-not-found", "--wait=false");
    await project.kubectl("delete", "runtimeclass", "gvisor", "kata");
    project.dispose();
  });

  it.each(sandboxProfiles)("admits every pod that Harbor makes, completed: %s", async (profile) => {
    const stack = nameOf(profile);
    expect(await verdicts(project, stack, harborPods)).toEqual(
      new Map([...harborPods.keys()].map((name) => [name, undefined])),
    );
    const { spec, metadata } = await completed(project, stack);
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      dnsPolicy: "None",
      nodeSelector: { "swe-rl.dev/pool": "sandbox" },
      ...(profile === "user_namespaces" ? { hostUsers: false } : {}),
      ...(profile === "gvisor" || profile === "kata" ? { runtimeClassName: profile } : {}),
    });
    expect((spec["initContainers"] as { name: string }[]).map(({ name }) => name)).toEqual([
      "entry-gate",
    ]);
    expect(metadata.labels).toMatchObject({
      "swe-rl.dev/stack": stack,
      "swe-rl.dev/role": "sandbox",
    });
  });

  it("refuses what breaks a rule, with the rule's own message", async () => {
    const pods = new Map(violations.map(([, what, pod]) => [what, onStack(pod, "open")]));
    const answers = await verdicts(project, "open", pods);
    const wrong = violations.filter(
      ([rule, what]) => !answers.get(what)?.includes(`denied request: ${rule}: `),
    );
    expect(wrong.map(([rule, what]) => [rule, what, answers.get(what)])).toEqual([]);
    expect(new Set(pods.keys()).size).toBe(violations.length);
    expect(violations.length).toBeGreaterThanOrEqual(40);
  });

  it.each(sandboxProfiles)("refuses all of it in a real namespace: %s", async (profile) => {
    const allowed = profile === "user_namespaces" ? [] : [];
    const pods = new Map(violations.map(([, what, pod]) => [what, onStack(pod, nameOf(profile))]));
    const answers = await verdicts(project, nameOf(profile), pods);
    expect([...answers].filter(([, answer]) => answer === undefined).map(([what]) => what)).toEqual(
      allowed,
    );
  });

  it("refuses images from elsewhere, and by tag, where the experiment says so", async () => {
    const digest = "sha256:" + "a".repeat(64);
    const withImage = (image: string) => {
      const pod = harborPod();
      pod.spec.containers[0].image = image;
      return pod;
    };
    const answers = await verdicts(
      project,
      "strict",
      new Map([
        ["right", withImage(`registry.example.com/tasks/a@${digest}`)],
        ["elsewhere", withImage(`docker.io/tasks/a@${digest}`)],
        ["neighbour", withImage(`registry.example.com/tasks-of-others/a@${digest}`)],
        ["by tag", withImage("registry.example.com/tasks/a:latest")],
      ]),
    );
    expect(answers.get("right")).toBeUndefined();
    for (const name of ["elsewhere", "neighbour"]) {
      expect(answers.get(name)).toContain(
        "registries: container main: images only from registry.example.com/tasks",
      );
    }
    expect(answers.get("by tag")).toContain("image-digest: container main: images only by digest");
  });

  it("admits the in-pod firewall only where the profile has it, and only in its container", async () => {
    const firewall = (name: string) => {
      const pod = harborPod();
      pod.spec.containers.push({
        name,
        image: "swe-rl.invalid/netadmin:1",
        securityContext: { capabilities: { add: ["NET_ADMIN", "NET_RAW"] } },
      });
      return pod;
    };
    const pods = new Map([
      ["its container", firewall("netadmin")],
      ["another", firewall("helper")],
    ]);
    const sidecar = await verdicts(project, "sidecar", pods);
    expect(sidecar.get("its container")).toBeUndefined();
    expect(sidecar.get("another")).toContain(
      "capabilities: container helper: only the container netadmin",
    );
    const standard = await verdicts(project, "standard", pods);
    expect([...standard.values()]).toEqual([
      expect.stringContaining("violates PodSecurity"),
      expect.stringContaining("violates PodSecurity"),
    ]);
  });

  describe("where nothing completes pods", () => {
    const stacks = ["standard", "gvisor", "user_namespaces"] as const;
    const bare = (profile: SandboxProfile) => `bare-${nameOf(profile)}`;
    const whole = new Map<string, SandboxPod>();
    beforeAll(async () => {
      for (const profile of stacks) {
        // The same objects without the completion; pods come complete as another stack's API server made them.
        await render(bare(profile), {
          yaml: profiled(profile),
          enforced: false,
          maxima: false,
          site: { cluster: { context: "kwok-swe-rl", mutating_admission: "none" } },
        });
        whole.set(profile, onStack(await completed(project, nameOf(profile)), bare(profile)));
      }
      await awaitPolicies(project, stacks.map(bare));
    });

    it("admits complete pods, and refuses what they lack", async () => {
      const complete = whole.get("standard")!;
      const change = (alter: (pod: SandboxPod) => void) => {
        const pod = structuredClone(complete);
        alter(pod);
        return pod;
      };
      const pods = new Map([
        ["complete", complete],
        ...incompletions.map(([, what, alter]) => [what, change(alter)] as const),
      ]);
      const answers = await verdicts(project, bare("standard"), pods);
      expect(answers.get("complete")).toBeUndefined();
      const wrong = incompletions.filter(
        ([rule, what]) => !answers.get(what)?.includes(`denied request: ${rule}: `),
      );
      expect(wrong.map(([rule, what]) => [rule, what, answers.get(what)])).toEqual([]);
    });

    it.each([
      ["gvisor", "runtime-class", "runtimeClassName"],
      ["user_namespaces", "host-users", "hostUsers"],
    ] as const)("demands what the profile is about: %s", async (profile, rule, field) => {
      const complete = whole.get(profile)!;
      const without = structuredClone(complete);
      Reflect.deleteProperty(without.spec, field);
      const answers = await verdicts(
        project,
        bare(profile),
        new Map([
          ["complete", complete],
          ["without", without],
        ]),
      );
      expect(answers.get("complete")).toBeUndefined();
      expect(answers.get("without")).toContain(`denied request: ${rule}: `);
    });
  });

  it.each(["trainer", "proxy", "sandbox"] as const)(
    "grants what the documentation lists, and nothing else: the %s",
    async (who) => {
      const accounts = {
        trainer: "standard-train:trainer",
        proxy: "standard-proxy:litellm",
        sandbox: "standard-sandbox:default",
      };
      const granted: string[] = [];
      for (const part of ["train", "proxy", "sandbox"]) {
        const list = async (account: string) => {
          const { stdout } = await project.kubectl(
            "auth",
            "can-i",
            "--list",
            "--no-headers",
            "-n",
            `standard-${part}`,
            `--as=system:serviceaccount:${account}`,
          );
          return stdout.split("\n").map((line) => line.trim().replaceAll(/\s+/g, " "));
        };
        // What every account of the cluster may do is not ours.
        const everyone = new Set(await list("default:nobody"));
        const own = (await list(accounts[who])).filter((line) => !everyone.has(line));
        granted.push(...own.map((line) => `${part}: ${line}`));
      }
      const page = readFileSync(join(projectRoot, "docs/sandboxes.md"), "utf8");
      const [, block = ""] = new RegExp(`\`${who}\`[^\`]*\`\`\`\n([^\`]*)\`\`\``).exec(page) ?? [];
      expect(granted.sort()).toEqual(
        block.split("\n").filter((line) => line !== "" && line !== "(nothing)"),
      );
    },
  );

  it("lets nobody but the trainer make sandboxes, and nobody enter one by a further container", async () => {
    project.write(
      "pod.json",
      JSON.stringify({ ...harborPod(), metadata: { ...harborPod().metadata, name: "mine" } }),
    );
    const mine = await project.kubectl(
      "create",
      "-f",
      "pod.json",
      "-n",
      "standard-sandbox",
      "--dry-run=server",
    );
    expect(mine.output).toContain(
      "denied request: creator: only the trainer's ServiceAccount makes sandboxes",
    );
    const made = await project.kubectl(
      "create",
      "-f",
      "pod.json",
      "-n",
      "standard-sandbox",
      "--as=system:serviceaccount:standard-train:trainer",
    );
    expect(made.output).toContain("pod/mine created");
    const debugged = await project.kubectl(
      "debug",
      "-n",
      "standard-sandbox",
      "pod/mine",
      "--image=busybox:1.36",
      "--",
      "true",
    );
    expect(debugged.output).toContain("denied request: ");
    expect(debugged.output).toMatch(/creator: |ephemeral-containers: /);
    await project.kubectl("delete", "pod", "mine", "-n", "standard-sandbox", "--wait=false");
  });
});

/** A stack's name for a profile. */
function nameOf(profile: SandboxProfile): string {
  return profile.replaceAll("_", "-");
}

/** A fixture's pod on a certain stack. */
function onStack(pod: SandboxPod, stack: string): SandboxPod {
  const text = JSON.stringify(pod).replaceAll("STACK", stack);
  return JSON.parse(text) as SandboxPod;
}

/** The default pod as the API server completes it. */
async function completed(project: Project, stack: string): Promise<SandboxPod> {
  const pod = harborPod();
  project.write(
    "pod.json",
    JSON.stringify({ ...pod, metadata: { ...pod.metadata, name: "whole" } }),
  );
  const { status, output, stdout } = await project.kubectl(
    "create",
    "-f",
    "pod.json",
    "-n",
    `${stack}-sandbox`,
    `--as=system:serviceaccount:${stack}-train:trainer`,
    "--dry-run=server",
    "-o",
    "json",
  );
  if (status !== 0) throw new Error(output);
  const { spec, metadata } = JSON.parse(stdout) as SandboxPod;
  // Computed by the API server from the rest.
  const {
    priority: _priority,
    preemptionPolicy: _policy,
    serviceAccount: _account,
    ...rest
  } = spec;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { labels: metadata.labels },
    spec: rest,
  };
}

function withoutMaxima(object: KubernetesObject): KubernetesObject {
  const { limits } = object["spec"] as { limits: { max?: unknown }[] };
  return { ...object, spec: { limits: limits.map(({ max: _max, ...limit }) => limit) } };
}

/** The API server takes a moment to learn of new policies. */
async function awaitPolicies(project: Project, stacks: readonly string[]): Promise<void> {
  for (const stack of stacks) {
    for (let tries = 0; ; tries++) {
      const pod = harborPod();
      pod.spec["schedulerName"] = "other";
      const answers = await verdicts(project, stack, new Map([["probe", pod]]));
      if (answers.get("probe")?.includes("denied request: ")) break;
      if (tries > 40)
        throw new Error(
          `the policies of ${stack} are not in force: ${String(answers.get("probe"))}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}
