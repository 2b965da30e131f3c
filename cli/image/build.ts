/** `npm run image -- build`. */
import { join } from "node:path";
import {
  type ImageName,
  imageNames,
  imagePlatform,
  recipes,
  type Variant,
} from "../../config/schema/recipes.ts";
import { CommandError, complain, projectRoot, say, UsageError } from "../command.ts";
import { type Arguments, type Given, nameOf, refuseVariant } from "./arguments.ts";
import {
  buildCommand,
  type BuilderName,
  builderNames,
  sizeCommand,
  sizeInWords,
  timeInWords,
} from "./builders.ts";
import { builderOf } from "./choose.ts";
import { BuildContext } from "./context.ts";
import { checkReference, localReference, named, settingOf } from "./images.ts";
import { runProgram } from "./programs.ts";
import { readIfThere, Scratch } from "./scratch.ts";
import { readSource } from "./source.ts";

export async function build({ operand, given, variant, further }: Arguments): Promise<number> {
  const names = operand === "all" ? imageNames : [nameOf(operand, ["all"])];
  if (operand === "all") {
    for (const option of ["tag", "base"] as const) {
      if (given[option] === undefined) continue;
      throw new UsageError(
        `all takes no --${option}, since every image has its own. Build them one by one.`,
      );
    }
  }
  if (!names.includes("training")) refuseVariant(operand, given);
  if (given.tag !== undefined) checkReference(given.tag);
  const builder = await builderOf(given.builder, builderNames);
  if (builder === undefined) return 3;
  for (const [i, name] of names.entries()) {
    complain(`building ${named(name, variant)} with ${builder} (${i + 1} of ${names.length}) …`, 0);
    const line = await buildOne(builder, { name, given, variant, further });
    say(line);
  }
  return 0;
}

interface One {
  readonly name: ImageName;
  readonly given: Given;
  readonly variant: Variant;
  readonly further: readonly string[];
}

/** @returns What to tell the user of the image. */
async function buildOne(builder: BuilderName, one: One): Promise<string> {
  const { name, given, variant, further } = one;
  const recipe = recipes[name];
  const source = readSource(projectRoot);
  const local = localReference(name, { variant, version: source.version });
  const tag = given.tag ?? local;
  using context = new BuildContext(projectRoot, recipe, Number(source.epoch));
  using scratch = new Scratch();
  const begun = Date.now();
  const command = buildCommand(builder, {
    ...{ name, variant, tags: new Set([local, tag]), source, base: given.base, further },
    runAs: given["run-as"],
    platform: process.arch === "x64" ? undefined : imagePlatform,
    containerfile: join(projectRoot, recipe.file),
    context: context.path,
    idFile: scratch.file("id"),
  });
  const { code } = await runProgram(command, { shown: true });
  if (code !== 0) {
    throw new CommandError(
      `${builder} could not build ${named(name, variant)} (exit code ${code}), so that there is no image ${tag}. ` +
        `Its last lines above say why; the recipe is ${recipe.file}. Where images cannot be pulled, give a copy of the base by --base.`,
    );
  }
  const id = readIfThere(scratch.file("id")) ?? "unknown";
  const size = await runProgram(sizeCommand(builder, tag));
  return [
    `${named(name, variant)}: ${tag}`,
    `  id     ${id}`,
    `  size   ${size.code === 0 ? sizeInWords(size.output) : "unknown"}`,
    `  built  in ${timeInWords(Date.now() - begun)} by ${builder}`,
    `  next   ${next(name, tag, variant)}`,
  ].join("\n");
}

function next(name: ImageName, tag: string, variant: Variant): string {
  if (!tag.startsWith("localhost/")) return settingOf(name, tag);
  const which = name === "training" ? ` --variant ${variant}` : "";
  return `npm run image -- push ${name}${which} --tag HOST/PATH:TAG, or on a Docker host that has it: ${settingOf(name, tag)}`;
}
