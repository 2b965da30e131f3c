/** Something read from a cluster or a Docker host, or the reason why it could not be read. */
export type Fact<T> =
  { readonly known: true; readonly value: T } | { readonly known: false; readonly reason: string };
