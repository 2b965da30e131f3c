/** What limits the stack's namespaces beside its own quota. */
import type { V1LimitRange, V1ResourceQuota } from "@kubernetes/client-node";
import { namespaceRoles, type Names } from "../../plan/names.ts";
import type { Fact } from "./fact.ts";
import { amountOf } from "./quantity.ts";
import { type Client, read } from "./client.ts";

export interface QuotaFact {
  readonly namespace: string;
  readonly name: string;
  readonly stack: string | undefined;
  /** Whether it is for some pods only, by priority or the like. */
  readonly scoped: boolean;
  readonly hard: Readonly<Record<string, number>>;
}

export interface LimitRangeFact {
  readonly namespace: string;
  readonly name: string;
  readonly stack: string | undefined;
  /** Most that a container, a pod or a claim may ask for. */
  readonly limits: readonly {
    readonly type: string;
    readonly max: Readonly<Record<string, number>>;
  }[];
}

export interface Bounds {
  readonly quotas: readonly QuotaFact[];
  readonly limitRanges: readonly LimitRangeFact[];
}

/** A namespace that is not there yet has none. */
export function readBounds(client: Client, { namespaces }: Names): Promise<Fact<Bounds>> {
  return read(async () => {
    const of = async <T>(kind: string): Promise<T[]> => {
      const lists = await Promise.all(
        namespaceRoles.map((name) =>
          client.list<T>(`/api/v1/namespaces/${namespaces[name]}/${kind}`),
        ),
      );
      return lists.flat();
    };
    const [quotas, limitRanges] = await Promise.all([
      of<V1ResourceQuota>("resourcequotas"),
      of<V1LimitRange>("limitranges"),
    ]);
    return {
      quotas: quotas.map(({ metadata, spec }) => ({
        ...identityOf(metadata),
        scoped: spec?.scopes !== undefined || spec?.scopeSelector !== undefined,
        hard: amounts(spec?.hard),
      })),
      limitRanges: limitRanges.map(({ metadata, spec }) => ({
        ...identityOf(metadata),
        limits: (spec?.limits ?? []).map(({ type, max }) => ({ type, max: amounts(max) })),
      })),
    };
  });
}

function identityOf(metadata: V1ResourceQuota["metadata"]) {
  return {
    namespace: metadata?.namespace ?? "",
    name: metadata?.name ?? "",
    stack: metadata?.labels?.["swe-rl.dev/stack"],
  };
}

function amounts(quantities: Readonly<Record<string, string>> = {}): Record<string, number> {
  return Object.fromEntries(
    Object.entries(quantities).map(([resource, quantity]) => [resource, amountOf(quantity)]),
  );
}
