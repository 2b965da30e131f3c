/** What the command line of `npm run image` gives its subcommands. */
import { type ImageName, imageNames, type Variant } from "../../config/schema/recipes.ts";
import { UsageError } from "../command.ts";

export const options = {
  variant: { type: "string" },
  tag: { type: "string" },
  base: { type: "string" },
  "run-as": { type: "string" },
  builder: { type: "string" },
  stack: { type: "string" },
  site: { type: "string" },
  root: { type: "string" },
} as const;

export type Option = keyof typeof options;
export type Given = Readonly<Partial<Record<Option, string>>>;

export interface Arguments {
  readonly operand: string;
  readonly given: Given;
  readonly variant: Variant;
  /** Behind `--`, for the builder. */
  readonly further: readonly string[];
}

export function nameOf(text: string, further: readonly string[] = []): ImageName {
  const known = [...imageNames, ...further];
  const name = imageNames.find((one) => one === text);
  if (name !== undefined) return name;
  throw new UsageError(`There is no image ${text}: ${known.join(", ")}.`);
}

export function oneOf<T extends string>(option: string, text: string, known: readonly T[]): T {
  const found = known.find((one) => one === text);
  if (found !== undefined) return found;
  throw new UsageError(`${option} must be ${known.join(" or ")}, not ${text}.`);
}

export function refuseVariant(name: string, given: Given): void {
  for (const option of ["variant", "run-as"] as const) {
    if (given[option] !== undefined) {
      throw new UsageError(`${name} takes no --${option}; only the training image does.`);
    }
  }
}
