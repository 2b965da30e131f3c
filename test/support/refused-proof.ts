/**
 * A program on a Docker site whose egress proof fails, against Pulumi's mocks; prints what was made, and the errors. A
 * process of its own, since Pulumi lets the rejection reach the top of the program.
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

const containerLogs =
  'probing\n{"proof": "a", "verdict": "leaks"}\nleaks: Ray (172.30.240.2 6379: steady)\n';
await pulumi.runtime.setMocks(
  {
    newResource: ({ name, inputs }) => {
      made.push(name);
      const given = inputs as Record<string, unknown>;
      const ended = given["attach"] === true ? { exitCode: 3, containerLogs } : {};
      return { id: `${name}-id`, state: { ...given, ...ended } };
    },
    call: ({ inputs }) => inputs as Record<string, unknown>,
  },
  "swe-rl",
  "run",
);
await provisionOnDocker(judge(onDocker("", { stack: "run" }).settings).plan);
