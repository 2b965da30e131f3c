/**
 * A whole run on a real node, with packets, programs and real agents in real sandboxes; only the policy and its training
 * are a rehearsal's. Each proxy mode, several workers, and a run that goes on where an earlier one was destroyed.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { experiment, openSite, type Site, Stack, update } from "./support/chain.ts";
import { head, Run } from "./support/faults.ts";
import { drill, drills } from "./support/holes.ts";
import { kubectl } from "./support/lab.ts";
import { startLate } from "./support/late-network.ts";

let site: Site;

beforeAll(async () => {
  site = await openSite();
});

afterAll(() => {
  site.close();
});

interface Sample {
  readonly drop: string | null;
  readonly reward: number;
  readonly calls: number;
}

/** What the agent loop noted of every trial. */
function samples(stack: Stack): Sample[] {
  const files = "/workspace/harbor_trials/swe-lego-live-rl/*/*/sample.json";
  const program = `import glob, json; print(json.dumps([json.load(open(f)) for f in glob.glob("${files}")]))`;
  return JSON.parse(stack.inHead(`python3 -c '${program}'`)) as Sample[];
}

/** Numbers of the steps that the log has, and their metrics. */
function steps(stack: Stack): { step: number; metrics: Record<string, number> }[] {
  const lines = [...stack.log().matchAll(/^step:(\d+) - (.*)$/gm)];
  return lines.map(([, step, text = ""]) => ({
    step: Number(step),
    metrics: Object.fromEntries(
      text.split(" - ").map((part) => {
        const at = part.lastIndexOf(":");
        return [part.slice(0, at), Number(part.slice(at + 1))];
      }),
    ),
  }));
}

function checkpoints(stack: Stack): string[] {
  const folder = "/workspace/checkpoints/swe-lego-live-rl/*/rehearsal";
  return stack
    .inHead(`cd ${folder} && cat latest_checkpointed_iteration.txt && echo && ls`)
    .split(/\s+/);
}

function namespaces(): string[] {
  const { items } = JSON.parse(kubectl(["get", "namespaces", "-o", "json"])) as {
    items: { metadata: { name: string } }[];
  };
  return items.map(({ metadata }) => metadata.name);
}

/** Labels of objects, and when each was made, in milliseconds. */
function objects(kind: string, namespace: string, fields = "") {
  const { items } = JSON.parse(
    kubectl(["get", kind, "-n", namespace, `--field-selector=${fields}`, "-o", "json"]),
  ) as { items: { metadata: { creationTimestamp: string; labels?: Record<string, string> } }[] };
  return items.map(({ metadata: { creationTimestamp, labels = {} } }) => ({
    created: Date.parse(creationTimestamp),
    labels,
  }));
}

describe("a synchronous run through LiteLLM", { timeout: 1_800_000 }, () => {
  let stack: Stack;
  /** Steps that are done before the stack is destroyed for the first time. */
  let last = 0;
  const epochs = (number: number) =>
    experiment("single-node").replace("total_epochs: 2", `total_epochs: ${number}`);

  beforeAll(async () => {
    stack = new Stack(site, "chain");
    await stack.create();
  });

  it("does not begin with inputs that are wrong, and says what they are", async () => {
    stack.configure(epochs(50).replace("/models/rehearsal", "/models/absent"));
    const { status, output } = await stack.try(...update);
    expect(status).not.toBe(0);
    expect(output).toMatch(/Job inputs-check will not be ready: it has failed: .* Its last lines:/);
    expect(output).toContain("/models/absent");
  });

  it("comes up when that is mended, proven closed before it begins", async () => {
    stack.configure(epochs(50));
    const output = await stack.up();
    expect(output).toMatch(/isolation +: "proven at .* reached the proxy and none of \d+ targets/);
  });

  it("goes on from its checkpoint when a setting changes in the middle of a step", async () => {
    await stack.logged(/^step:1 - /m, 600);
    // More than are done until the run is replaced: one that has ended serves nobody.
    last = steps(stack).length + 12;
    stack.configure(epochs(last));
    await stack.up();
    expect(await stack.ended(900)).toBe("Complete");
    expect(stack.log()).toMatch(/rehearsal: resumes from \S+\/global_step_\d+/);
  });

  it("makes its steps of trials that are all trained on", () => {
    const made = steps(stack).map(({ step }) => step);
    expect(made).toEqual(Array.from({ length: last }, (_, i) => i + 1));
    for (const { metrics } of steps(stack)) {
      expect(metrics).toMatchObject({ "rehearsal/trials": 8, "rehearsal/dropped": 0 });
      expect(metrics["response_length/mean"]).toBeGreaterThan(100);
    }
    const found = samples(stack);
    // More, where the change has cut the trials of a step.
    expect(found.length).toBeGreaterThanOrEqual(8 * last);
    for (const { drop, calls } of found) {
      expect(drop).toBeNull();
      expect(calls).toBeGreaterThan(2);
    }
    // The verifier told those that applied the solution from those that did not.
    expect(new Set(found.map(({ reward }) => reward))).toEqual(new Set([0, 1]));
  });

  it("leaves checkpoints, and no sandbox of a step that was done", () => {
    expect(checkpoints(stack)).toEqual(
      expect.arrayContaining([`${last}`, `global_step_${last - 1}`, `global_step_${last}`]),
    );
    // Those of the step that the change has cut may stay: the reaper cannot tell trials of the minute before an attempt
    // from its own, since clocks differ. Within half a minute the submitter has stopped the former run.
    const [job] = objects("job", "chain-train", "metadata.name=trainer");
    const begun = (job?.created ?? 0) + 30_000;
    const left = objects("pods", "chain-sandbox").filter(({ labels }) => "harbor-run" in labels);
    expect(left.filter(({ created }) => created > begun)).toEqual([]);
    expect(left.length).toBeLessThanOrEqual(8);
  });

  it.each(drills())("has a proof that names holes: %s", async (_, open) => {
    const { named, text } = await drill(stack, open);
    const expected = open.flatMap((hole) => hole.named);
    expect([...new Set(named)].sort(), text).toEqual([...new Set(expected)].sort());
    if (open.length === 1) expect(text).toContain(open[0]?.cause);
  });

  it.each([0.2, 1, 5])(
    "has sandboxes that send nothing before policies hold, %s s late",
    async (seconds) => {
      const { meanwhile, connections, arrived } = await startLate(stack.name, seconds);
      expect(meanwhile).toBe("reached");
      for (const connection of Object.values(connections)) {
        expect(connection).toMatch(/^(TimeoutError|ConnectionRefusedError)$/);
      }
      expect(arrived).toEqual([]);
    },
  );

  it("is destroyed but for its volumes, and goes on from its checkpoint", async () => {
    await stack.destroy();
    const left = namespaces().filter((name) => name.startsWith("chain-"));
    expect(left).toEqual(["chain-train"]);
    stack.configure(epochs(1000));
    await stack.up();
    await new Run(stack).reach(last + 1);
    expect(stack.log()).toMatch(new RegExp(`resumes from \\S+/global_step_${last}$`, "m"));
    const made = steps(stack).map(({ step }) => step);
    expect(made.slice(0, last + 1)).toEqual(Array.from({ length: last + 1 }, (_, i) => i + 1));
    expect(checkpoints(stack)).toContain(`global_step_${last + 1}`);
  });

  it("loses no checkpoint with its head", async () => {
    const { lost, dropped } = await new Run(stack).outlive(head);
    expect({ lost, dropped }).toEqual({ lost: [], dropped: 0 });
  });

  it("is destroyed while it runs", async () => {
    await stack.destroy();
    expect(namespaces().filter((name) => name.startsWith("chain-"))).toEqual(["chain-train"]);
  });
});

/** The one node takes everything. */
const onOneNode = `
preflight:
  waive:
    - { rule: sandbox-nodes, reason: the lab has one node }
    - { rule: sandbox-gpu-nodes, reason: the lab has one node }
`;

describe("an asynchronous run with a proxy in every worker", { timeout: 1_800_000 }, () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = new Stack(site, "async");
    stack.configure(experiment("two-node", onOneNode));
    await stack.create();
    await stack.up();
  }, 1_800_000);

  it("of two nodes goes on with generations that new weights have cut", async () => {
    expect(await stack.ended(900)).toBe("Complete");
    const made = steps(stack);
    expect(made.map(({ step }) => step)).toEqual([1, 2]);
    for (const { metrics } of made) {
      expect(metrics).toMatchObject({ "rehearsal/trials": 8, "rehearsal/dropped": 0 });
    }
    for (const { drop } of samples(stack)) expect(drop).toBeNull();
    expect(made[1]?.metrics["fully_async/partial/total_partial_num"]).toBeGreaterThan(0);
    await stack.destroy();
  });
});
