/** `npm run image -- build NAME`: the training image and the agents' runtime images, from public packages. */
import { variants } from "../config/schema/recipes.ts";
import { parseCommandLine, runCommand, UsageError } from "./command.ts";
import { type Arguments, type Given, oneOf, type Option, options } from "./image/arguments.ts";
import { build } from "./image/build.ts";
import { check } from "./image/check.ts";
import { push } from "./image/push.ts";

const usage = `Usage: npm run image -- build NAME [--variant cuda|cpu] [--tag REF] [--base REF] [--run-as USER]
                                  [--builder docker|buildah|podman] [-- ARGUMENT...]
       npm run image -- push NAME --tag REF [--variant cuda|cpu] [--builder docker|buildah|podman]
       npm run image -- check REF --stack STACK [--site SITE] [--variant cuda|cpu] [--builder docker|podman]

build makes an image from public packages, locked by hashes. push gives it a name of your registry and pushes it; log in with
the builder first. check runs the image's own check of what the stack's Plan starts in it: it needs no GPU, no model and no data.

  NAME        training, claude-code, opencode, openhands-sdk, or (build only) all
  REF         name of an image: HOST/PATH:TAG
  --variant   of the training image: cuda (default), or cpu for rehearsals without a GPU
  --tag       name of the result (default: localhost/swe-rl/NAME with the project's version)
  --base      another image to build on, such as your registry's copy of the Containerfile's BASE
  --run-as    user of the training image (default: root; swe-rl, 1000, where volumes are its own)
  --builder   which program builds (default: the first that works of docker, buildah, podman)
  --stack     name of the stack whose Plan is checked
  --site      another site than the stack's own
  --root      directory with config/ and stacks/ for check (default: this project)
  ARGUMENT    goes to the builder as it is, such as --network host or --build-arg MAX_JOBS=8

Exit codes: 0 done, 1 failed (the builder, the push, or what check has found), 2 wrong usage, 3 no builder works.
`;

interface Subcommand {
  readonly operand: string;
  readonly takes: readonly Option[];
  readonly run: (args: Arguments) => Promise<number>;
}

const subcommands: Readonly<Record<string, Subcommand>> = {
  build: { operand: "NAME", takes: ["variant", "tag", "base", "run-as", "builder"], run: build },
  push: { operand: "NAME", takes: ["variant", "tag", "builder"], run: push },
  check: { operand: "REF", takes: ["variant", "stack", "site", "root", "builder"], run: check },
};

await runCommand(usage, async ([name = "", ...args]) => {
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (!subcommand) {
    throw new UsageError(
      name === ""
        ? "The subcommand is missing: build, push or check."
        : `There is no subcommand ${name}: build, push or check.`,
    );
  }
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const further = args.slice(end + 1);
  if (further.length > 0 && name !== "build") {
    throw new UsageError(
      `${name} takes no arguments behind --; only build has a builder for them.`,
    );
  }
  const parsed = parseCommandLine(args.slice(0, end), { options, operands: [subcommand.operand] });
  const given: Given = parsed.values;
  for (const key of Object.keys(given) as Option[]) {
    if (!subcommand.takes.includes(key)) throw new UsageError(`${name} takes no --${key}.`);
  }
  const [operand = ""] = parsed.operands;
  const variant = oneOf("--variant", given.variant ?? "cuda", variants);
  return subcommand.run({ operand, given, variant, further });
});
