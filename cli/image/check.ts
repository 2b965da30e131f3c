/** `npm run image -- check`: the check that the image runs before it trains, for the image alone. */
import type { Variant } from "../../config/schema/recipes.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import { CommandError, complain, projectRoot, say, UsageError } from "../command.ts";
import { decide, selectStack } from "../decide.ts";
import type { Arguments } from "./arguments.ts";
import { type Command, runInImage } from "./builders.ts";
import { builderOf } from "./choose.ts";
import { runProgram } from "./programs.ts";

const checkModule = "swe_rl_training.check";

/**
 * The Plan's command with its check, asked about the image only and told to start nothing.
 * @throws {CommandError} If the Plan's command has no such check: then the image is not ours.
 */
export function imageCheck(
  stack: string,
  { argv, verl }: Pick<Trainer, "argv" | "verl">,
  variant: Variant,
): Command {
  const at = argv.indexOf("--");
  const [program, option, module] = argv;
  if (program === undefined || option !== "-m" || module !== checkModule || at < 0) {
    throw new CommandError(
      `Stack ${stack} has verl.distribution: ${verl.distribution}, whose image is not made by this project, so that it has no check to run. ` +
        "Check a stack with verl.distribution: stock, such as one that extends single-node-stock.yaml.",
    );
  }
  const rehearsal = variant === "cpu" ? ["--rehearsal"] : [];
  const options = [...argv.slice(1, at), "--only", "--image-only", ...rehearsal];
  return [program, ...options, ...argv.slice(at)];
}

export async function check({ operand: image, given, variant }: Arguments): Promise<number> {
  const { stack } = given;
  if (stack === undefined)
    throw new UsageError("--stack is missing: the stack whose Plan is checked.");
  const root = given.root ?? projectRoot;
  const { plan } = decide(root, selectStack(root, stack, given.site));
  const inside = imageCheck(stack, plan.trainer, variant);
  const builder = await builderOf(given.builder, ["docker", "podman"]);
  if (builder === undefined) return 3;
  const { code } = await runProgram(runInImage(builder, image, inside), { shown: true });
  if (code === 0) return say(`${image} can run what stack ${stack} starts in it`);
  if (code === 3) {
    return complain(
      `${image} cannot run what stack ${stack} starts in it: see the findings above.`,
      1,
    );
  }
  throw new CommandError(
    `${builder} could not run the check in ${image} (exit code ${code}), so that nothing is known of it. ` +
      "Its last lines above say why. An image that is not made by `npm run image` has no such check.",
  );
}
