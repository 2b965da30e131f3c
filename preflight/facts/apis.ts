import { type Client, read } from "./client.ts";
import type { Fact } from "./fact.ts";

/** Versions that the API server serves of each kind, by `plural.group` as custom resource definitions are called. */
export type Apis = ReadonlyMap<string, readonly string[]>;

interface Discovery {
  readonly kind?: string;
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly {
      readonly version: string;
      readonly resources?: readonly { readonly resource: string }[];
    }[];
  }[];
}

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/**
 * What the API server serves, in one answer that everybody may read. Definitions themselves are a megabyte each, and
 * reading them takes a right that few have.
 */
export function readApis(client: Client): Promise<Fact<Apis>> {
  return read(async () => {
    const { kind, items = [] } = await client.get<Discovery>("/apis", { accept: aggregated });
    if (kind !== "APIGroupDiscoveryList") {
      throw new Error("the API server is older than Kubernetes 1.30 and does not list its kinds");
    }
    const apis = new Map<string, string[]>();
    for (const { metadata, versions = [] } of items) {
      for (const { version, resources = [] } of versions) {
        for (const { resource } of resources) {
          const name = `${resource}.${metadata?.name ?? ""}`;
          apis.set(name, [...(apis.get(name) ?? []), version]);
        }
      }
    }
    return apis;
  });
}

/** Features that depend on the version of the API server, or on its flag `--runtime-config`. */
export interface Features {
  /** Minor version of Kubernetes 1. */
  readonly minor: number;
  readonly validatingAdmissionPolicy: readonly string[];
  readonly mutatingAdmissionPolicy: readonly string[];
  /** On by default, as far as the version tells; a gate may have changed it. */
  readonly imageVolumes: boolean;
  readonly userNamespaces: boolean;
}

export function featuresOf(server: Fact<string>, apis: Fact<Apis>): Fact<Features> {
  if (!server.known) return server;
  if (!apis.known) return apis;
  const minor = minorOf(server.value);
  const served = (plural: string) => apis.value.get(`${plural}.admissionregistration.k8s.io`) ?? [];
  return {
    known: true,
    value: {
      minor,
      validatingAdmissionPolicy: served("validatingadmissionpolicies"),
      mutatingAdmissionPolicy: served("mutatingadmissionpolicies"),
      imageVolumes: minor >= 35,
      userNamespaces: minor >= 33,
    },
  };
}

/** `34` of `v1.34.4`. */
export function minorOf(version: string): number {
  return Number(/^v1\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
}
