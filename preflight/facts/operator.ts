import type { V1Deployment } from "@kubernetes/client-node";
import type { Fact } from "./fact.ts";
import { type Client, read } from "./client.ts";

/** The KubeRay operator, where it runs inside the cluster. */
export interface OperatorFact {
  readonly namespace: string;
  readonly name: string;
  readonly image: string;
  /** Of the image's tag; undefined where it has none that looks like a version. */
  readonly version: string | undefined;
  readonly ready: number;
}

/** undefined where no Deployment looks like it: it may run elsewhere, so that proves nothing. */
export function readOperator(client: Client): Promise<Fact<OperatorFact | undefined>> {
  return read(async () => {
    const deployments = await client.list<V1Deployment>("/apis/apps/v1/deployments", {
      query: { labelSelector: "app.kubernetes.io/name in (kuberay-operator,kuberay)" },
    });
    const [operator] = deployments;
    if (!operator) return undefined;
    const image = operator.spec?.template.spec?.containers[0]?.image ?? "";
    return {
      namespace: operator.metadata?.namespace ?? "",
      name: operator.metadata?.name ?? "",
      image,
      version: /:v?(\d+\.\d+\.\d+)/.exec(image)?.[1],
      ready: operator.status?.readyReplicas ?? 0,
    };
  });
}
