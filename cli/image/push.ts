/** `npm run image -- push`. */
import { CommandError, complain, projectRoot, say, UsageError } from "../command.ts";
import { type Arguments, nameOf, refuseVariant } from "./arguments.ts";
import { builderNames, digestIn, existsCommand, pushCommand, tagCommand } from "./builders.ts";
import { builderOf } from "./choose.ts";
import { checkReference, localReference, settingOf } from "./images.ts";
import { followProgram, runProgram } from "./programs.ts";
import { readIfThere, Scratch } from "./scratch.ts";
import { readSource } from "./source.ts";

export async function push({ operand, given, variant }: Arguments): Promise<number> {
  const name = nameOf(operand);
  if (name !== "training") refuseVariant(name, given);
  const { tag } = given;
  if (tag === undefined)
    throw new UsageError("--tag is missing: the image's name in your registry.");
  checkReference(tag);
  const builder = await builderOf(given.builder, builderNames);
  if (builder === undefined) return 3;
  const { version } = readSource(projectRoot);
  const local = localReference(name, { variant, version });
  if ((await runProgram(existsCommand(builder, local))).code !== 0) {
    const which = name === "training" ? ` --variant ${variant}` : "";
    throw new CommandError(
      `${builder} has no image ${local}, so that there is nothing to push. Run: npm run image -- build ${name}${which} --builder ${builder}`,
    );
  }
  const renamed = await runProgram(tagCommand(builder, local, tag));
  if (renamed.code !== 0) {
    throw new CommandError(
      `${builder} could not name ${local} ${tag}, so that nothing was pushed: ${renamed.output.trim()}`,
    );
  }
  complain(`pushing ${local} as ${tag} with ${builder} …`, 0);
  using scratch = new Scratch();
  const { code, output } = await followProgram(pushCommand(builder, tag, scratch.file("digest")));
  if (code !== 0) {
    throw new CommandError(
      `${builder} could not push ${tag} (exit code ${code}), so that no node can pull it. ` +
        `Its last lines above say why. Where the registry wants a login: ${builder} login ${tag.split("/")[0] ?? ""}`,
    );
  }
  const digest = readIfThere(scratch.file("digest")) ?? digestIn(output);
  return say(
    [
      tag,
      `  digest ${digest ?? "unknown"}`,
      `  next   ${settingOf(name, digest === undefined ? tag : `${tag}@${digest}`)}`,
    ].join("\n"),
  );
}
