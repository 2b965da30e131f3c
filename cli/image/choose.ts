/** Which builder of this machine works. */
import { complain } from "../command.ts";
import { oneOf } from "./arguments.ts";
import { type BuilderName, probeCommand } from "./builders.ts";
import { runProgram } from "./programs.ts";

interface Choice<B extends BuilderName> {
  /** undefined: none of them works. */
  readonly builder?: B;
  /** Why those before it do not work. */
  readonly refused: readonly string[];
}

/** The first of them that works, and why those before it do not. */
async function chooseBuilder<B extends BuilderName>(candidates: readonly B[]): Promise<Choice<B>> {
  const refused: string[] = [];
  for (const builder of candidates) {
    const { code, output } = await runProgram(probeCommand(builder));
    if (code === 0) return { builder, refused };
    refused.push(`${builder}: ${reason(code, output)}`);
  }
  return { refused };
}

function reason(code: number, output: string): string {
  if (code === 127) return "is not on the PATH";
  const last = output.trim().split("\n").at(-1) ?? "";
  return last === "" ? `exit code ${code}` : last;
}

/** @returns undefined, after telling the user why, if none works. */
export async function builderOf<B extends BuilderName>(
  given: string | undefined,
  able: readonly B[],
): Promise<B | undefined> {
  const candidates = given === undefined ? able : [oneOf("--builder", given, able)];
  const { builder, refused } = await chooseBuilder(candidates);
  for (const reason of refused) complain(reason, 0);
  if (builder !== undefined) return builder;
  complain(
    `No builder works here (${candidates.join(", ")}), so that no image can be made or run. ` +
      "Install one of them, start Docker's daemon, or set DOCKER_HOST to a daemon that you may use.",
    3,
  );
  return undefined;
}
