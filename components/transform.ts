import type * as pulumi from "@pulumi/pulumi";

/**
 * Changes a child's arguments before the child is made: a part that replaces what is planned, or a function that
 * changes arguments and options in place.
 * @example { deployment: (args, opts) => { opts.ignoreChanges = ["spec.replicas"]; } }
 */
export type Transform<Args> =
  Partial<Args> | ((args: Args, opts: pulumi.CustomResourceOptions, name: string) => undefined);

interface Child<Args> {
  readonly name: string;
  readonly args: Args;
  readonly opts: pulumi.CustomResourceOptions;
}

/** Name, arguments and options of a child, after the user's transform. */
export function transformed<Args extends object>(
  transform: Transform<Args> | undefined,
  { name, args, opts }: Child<Args>,
): [string, Args, pulumi.CustomResourceOptions] {
  if (transform === undefined) return [name, args, opts];
  if (typeof transform !== "function") return [name, { ...args, ...transform }, opts];
  const [changedArgs, changedOpts] = [{ ...args }, { ...opts }];
  transform(changedArgs, changedOpts, name);
  return [name, changedArgs, changedOpts];
}
