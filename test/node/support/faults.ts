/** Faults of a stack whose run goes on, and what they come to. */
import { setTimeout as sleep } from "node:timers/promises";
import { findRunning } from "../../../lab/control-plane/parts.ts";
import type { Stack } from "./chain.ts";
import { nodeName } from "../../../lab/node/layout.ts";
import { inNode, pidOf } from "./hole-parts.ts";
import { demandLab, kubectl, paths, tryKubectl } from "./lab.ts";

export interface Fault {
  readonly name: string;
  /** Causes it. Returns when it is over, as far as it does not mend itself; with a text, what it came to at once. */
  cause(stack: string): unknown;
}

export interface Outcome {
  /** What came of it at once. */
  readonly note: string;
  /** Seconds from the fault until the next step was done, and until one was that began after it. */
  readonly next: number;
  readonly step: number;
  /** Seconds until every pod was ready; 0 where none was seen unready. */
  readonly ready: number;
  /** How often the run was started again. */
  readonly restarts: number;
  /** Trials of the steps meanwhile that were not trained on. */
  readonly dropped: number;
  /** Steps that had a checkpoint before the fault, and were done again. */
  readonly lost: readonly number[];
  /** Pods that were seen unready, and what they said. */
  readonly seen: readonly string[];
}

interface State {
  /** In the order of the log; a step that is done again comes again. */
  readonly steps: readonly { readonly step: number; readonly dropped: number }[];
  readonly starts: number;
  /** Step of the newest checkpoint. */
  readonly saved: number;
}

/** A run, seen from its volumes: the API server may be away. */
export class Run {
  readonly #stack: string;
  readonly #folder: Readonly<Record<"logs" | "checkpoints", string>>;

  constructor({ name }: Stack) {
    this.#stack = name;
    const folder = (claim: string) => folderOf(name, claim);
    this.#folder = { logs: folder("logs"), checkpoints: folder("checkpoints") };
  }

  /**
   * Causes a fault and waits until two further steps are done, as the first may have been almost done, and every pod is
   * ready.
   * @throws {Error} If that does not come about in time.
   */
  async outlive(fault: Fault, patienceSeconds = 900): Promise<Outcome> {
    const before = await this.#state();
    const begin = performance.now();
    const since = () => Math.round((performance.now() - begin) / 1000);
    const seen = new Set<string>();
    const cause = { isOver: false };
    const causing = Promise.resolve(fault.cause(this.#stack)).finally(() => {
      cause.isOver = true;
    });
    // It is awaited when it is over.
    causing.catch(() => undefined);
    let [ready, next] = [0, 0];
    for (;;) {
      await sleep(1000);
      const unready = unreadyPods(this.#stack);
      for (const pod of unready) seen.add(pod);
      if (unready.length > 0) ready = since() + 1;
      const now = await this.#state();
      const further = now.steps.slice(before.steps.length);
      if (next === 0 && further.length > 0) next = since();
      const note = cause.isOver ? await causing : undefined;
      if (cause.isOver && unready.length === 0 && further.length >= 2) {
        return {
          note: typeof note === "string" ? note : "",
          next,
          step: since(),
          ready,
          restarts: now.starts - before.starts,
          dropped: further.reduce((sum, { dropped }) => sum + dropped, 0),
          lost: further.map(({ step }) => step).filter((step) => step <= before.saved),
          seen: [...seen],
        };
      }
      if (since() > patienceSeconds) {
        throw new Error(`${fault.name}: after ${since()} s: ${JSON.stringify({ now, unready })}`);
      }
    }
  }

  /** Waits until a step is done. @throws {Error} If it is not in time. */
  async reach(step: number, patienceSeconds = 900): Promise<void> {
    const until = Date.now() + patienceSeconds * 1000;
    while (!(await this.#state()).steps.some((done) => done.step === step)) {
      if (Date.now() > until) throw new Error(`step ${step} was not done in ${patienceSeconds} s`);
      await sleep(1000);
    }
  }

  async #state(): Promise<State> {
    const tracker = `${this.#folder.checkpoints}/*/*/*/latest_checkpointed_iteration.txt`;
    // Neither is there before the first step.
    const saved = Number(await inNode(`cat ${tracker} || true`));
    const log = await inNode(`cat ${this.#folder.logs}/*.log || true`);
    return {
      steps: [...log.matchAll(/^step:(\d+) - (.*)$/gm)].map(([, step, metrics = ""]) => ({
        step: Number(step),
        dropped: Number(/rehearsal\/dropped:([\d.]+)/.exec(metrics)?.[1]),
      })),
      starts: [...log.matchAll(/^rehearsal: no gradient is computed/gm)].length,
      saved,
    };
  }
}

/** Where the node has a volume of the stack. */
export function folderOf(stack: string, claim: string): string {
  const volume = ["get", "persistentvolumeclaim", claim, "-n", `${stack}-train`];
  return `/run/swe-rl-lab/${kubectl([...volume, "-o", "jsonpath={.spec.volumeName}"])}`;
}

interface Pod {
  readonly metadata: { readonly name: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly state: { readonly waiting?: { readonly reason: string } };
    }[];
  };
}

/** Pods of training and proxy that are not ready, and why. */
function unreadyPods(stack: string): string[] {
  return ["train", "proxy"].flatMap((role) => {
    const options = ["-n", `${stack}-${role}`, "--request-timeout=2s", "-o", "json"];
    const { status, stdout } = tryKubectl(["get", "pods", ...options]);
    if (status !== 0) return ["the API server does not answer"];
    const { items } = JSON.parse(stdout) as { items: Pod[] };
    return items.flatMap(({ metadata, status: { phase, conditions, containerStatuses } }) => {
      const ready = conditions?.find(({ type }) => type === "Ready")?.status === "True";
      if (ready || phase === "Succeeded" || phase === "Failed") return [];
      const waiting = containerStatuses?.find(({ state }) => state.waiting)?.state.waiting;
      return [`${metadata.name}: ${waiting?.reason ?? phase}`];
    });
  });
}

interface Victims {
  readonly in: "train" | "proxy";
  readonly selector: string;
  /** undefined: all. */
  readonly most?: number;
}

/** Deletes pods as the loss of a node does: at once. */
function killed(name: string, victims: Victims): Fault {
  return {
    name,
    cause(stack) {
      const where = ["-n", `${stack}-${victims.in}`];
      const found = kubectl(["get", "pods", ...where, "-l", victims.selector, "-o", "name"]).trim();
      const pods = found.split("\n").slice(0, victims.most);
      kubectl(["delete", ...where, ...pods, "--force", "--grace-period=0"]);
    },
  };
}

function apiServerAway(seconds: number): Fault {
  return {
    name: `API server away for ${seconds} s`,
    async cause() {
      const { parts } = await findRunning(paths);
      const pid = parts.get("kube-apiserver")?.pid;
      if (pid === undefined) throw new Error("the API server does not run");
      process.kill(pid, "SIGSTOP");
      try {
        await sleep(seconds * 1000);
      } finally {
        process.kill(pid, "SIGCONT");
      }
    },
  };
}

/** A part of the node ends, and comes back after a while. */
function ended(part: "kubelet" | "containerd", seconds: number): Fault {
  return {
    name: `${part} killed, back after ${seconds} s`,
    async cause() {
      process.kill(await pidOf(part), "SIGKILL");
      await sleep(seconds * 1000);
      demandLab("up");
    },
  };
}

/** The node takes no pods and loses those that may be evicted, for a minute. */
const drained: Fault = {
  name: "node cordoned and drained, back after 60 s",
  cause() {
    const options = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s"];
    const { stderr } = tryKubectl(["drain", nodeName, ...options]);
    kubectl(["uncordon", nodeName]);
    const refused = [...stderr.matchAll(/evicting pods\/"(\S+?)"/g)].map(([, pod = ""]) => pod);
    return `not evicted: ${[...new Set(refused)].sort().join(", ")}`;
  },
};

/** Gives volumes file systems of their own, which the next faults fill, and their writers new pods. */
const separated: Fault = {
  name: "Ray's pods and the recorder deleted",
  async cause(stack) {
    for (const [claim, size] of Object.entries({ logs: "4m", trials: "512m" })) {
      const folder = folderOf(stack, claim);
      await inNode(`
        cp -a ${folder} /run/kept
        mount -t tmpfs -o size=${size} tmpfs ${folder}
        cp -a /run/kept/. ${folder}
        rm -r /run/kept
      `);
    }
    const writers = "swe-rl.dev/role in (ray-head, ray-worker, recorder)";
    kubectl(["delete", "pods", "-n", `${stack}-train`, "-l", writers, "--wait=false"]);
  },
};

function full(claim: "logs" | "trials", seconds: number): Fault {
  return {
    name: `volume of the ${claim} full, for ${seconds} s`,
    async cause(stack) {
      const file = `${folderOf(stack, claim)}/fill`;
      await inNode(`cat /dev/zero > ${file} || true`);
      await sleep(seconds * 1000);
      await inNode(`rm ${file}`);
    },
  };
}

const trialsEmptied: Fault = {
  name: "volume of the trials emptied",
  cause: (stack) => inNode(`rm -rf ${folderOf(stack, "trials")}/*`),
};

const named = (name: string) => `app.kubernetes.io/name=${name}`;
const litellm = named("litellm");

export const head = killed("Ray's head killed", { in: "train", selector: "ray.io/node-type=head" });

export const faults: readonly Fault[] = [
  killed("Ray's worker killed", { in: "train", selector: "ray.io/node-type=worker" }),
  head,
  killed("trainer (submitter) killed", { in: "train", selector: named("trainer") }),
  killed("recorder killed", { in: "train", selector: named("recorder") }),
  killed("one LiteLLM pod killed", { in: "proxy", selector: litellm, most: 1 }),
  killed("both LiteLLM pods killed", { in: "proxy", selector: litellm }),
  killed("reaper killed", { in: "train", selector: named("sandbox-reaper") }),
  ended("kubelet", 20),
  ended("containerd", 20),
  drained,
  apiServerAway(30),
  apiServerAway(120),
  separated,
  full("logs", 90),
  full("trials", 60),
  trialsEmptied,
];
