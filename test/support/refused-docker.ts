/**
 * A program on a Docker site, against Pulumi's mocks, of whose containers those fail that run the program in the first
 * argument; prints what was made, and the errors. A process of its own, since Pulumi lets the rejection reach the top of
 * the program.
 */
import * as pulumi from "@pulumi/pulumi";
import { onDocker, provisionOnDocker } from "./docker.ts";
import { judge } from "./settings.ts";

const made: string[] = [];
const errors = new Set<string>();
process.on("unhandledRejection", (error: Error) => errors.add(error.message));
process.on("beforeExit", () => {
  process.stdout.write(JSON.stringify({ made, errors: [...errors] }));
});

const [, , failing = ""] = process.argv;
const proof = (verdict: string) => `probing\n{"proof": "a", "verdict": "${verdict}"}\n`;
const logs: Readonly<Record<string, { good: string; bad: string }>> = {
  egress_probe: {
    good: `${proof("proven")}proven: all of them`,
    bad: `${proof("leaks")}leaks: Ray (172.30.240.2 6379: steady)`,
  },
  check_policy: {
    good: "the policy is served",
    bad: "waiting\ncheck_policy: the run is given up: no image. Its last lines:\nthe last line",
  },
};

/** What the container has come to, if it runs to its end. */
function endOf(inputs: Record<string, unknown>): object {
  if (inputs["attach"] !== true) return {};
  const command = JSON.stringify(inputs["entrypoints"]);
  const [program, said] = Object.entries(logs).find(([name]) => command.includes(name)) ?? [];
  return program === failing
    ? { exitCode: 3, containerLogs: said?.bad }
    : { exitCode: 0, containerLogs: said?.good };
}

await pulumi.runtime.setMocks(
  {
    newResource: ({ name, inputs }) => {
      made.push(name);
      const given = inputs as Record<string, unknown>;
      return { id: `${name}-id`, state: { ...given, ...endOf(given) } };
    },
    call: ({ inputs }) => inputs as Record<string, unknown>,
  },
  "swe-rl",
  "run",
);
await provisionOnDocker(judge(onDocker("", { stack: "run" }).settings).plan);
