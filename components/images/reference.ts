import type * as pulumi from "@pulumi/pulumi";

/** What an object names for an image of the Plan. */
export type ResolveImage = (reference: string) => pulumi.Input<string>;

/** A part of the Plan, with what its objects name for its image. */
export type WithImage<Part extends { readonly image: string }> = Omit<Part, "image"> & {
  readonly image: pulumi.Input<string>;
};

export function withImage<Part extends { readonly image: string }>(
  part: Part,
  resolve: ResolveImage,
): WithImage<Part> {
  return { ...part, image: resolve(part.image) };
}
