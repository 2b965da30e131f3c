import {
  ApiException,
  ApiextensionsV1Api,
  CoreV1Api,
  KubeConfig,
  StorageV1Api,
  VersionApi,
} from "@kubernetes/client-node";
import type { Fact } from "../finding.ts";

/** How to reach a cluster: the same values that the Pulumi provider gets. */
export interface Access {
  readonly context: string;
  readonly kubeconfig?: string | undefined;
}

export interface Client {
  readonly core: CoreV1Api;
  readonly extensions: ApiextensionsV1Api;
  readonly storage: StorageV1Api;
  readonly version: VersionApi;
}

/** Seconds after which a read gives up; the other reads go on beside it. */
const patienceSeconds = 10;

/** A client for the context. @throws {Error} If the kubeconfig or the context is missing. */
export function connect({ context, kubeconfig }: Access): Client {
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  const contexts = config.getContexts().map(({ name }) => name);
  if (!contexts.includes(context)) {
    const from = kubeconfig ?? process.env["KUBECONFIG"] ?? "~/.kube/config";
    throw new Error(`no context "${context}" in ${from} (there: ${contexts.join(", ") || "none"})`);
  }
  config.setCurrentContext(context);
  return {
    core: config.makeApiClient(CoreV1Api),
    extensions: config.makeApiClient(ApiextensionsV1Api),
    storage: config.makeApiClient(StorageV1Api),
    version: config.makeApiClient(VersionApi),
  };
}

/** Makes one read a fact: an answer, or the reason why there is none. */
export async function read<T>(request: () => Promise<T>): Promise<Fact<T>> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${patienceSeconds} s`));
    }, patienceSeconds * 1000);
  });
  try {
    return { known: true, value: await Promise.race([request(), patience]) };
  } catch (error) {
    return { known: false, reason: reasonOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** Like {@link read}, where the absence of the object is an answer too. */
export async function readIfThere<T>(request: () => Promise<T>): Promise<Fact<T | undefined>> {
  return read(async () => {
    try {
      return await request();
    } catch (error) {
      if (error instanceof ApiException && error.code === 404) return undefined;
      throw error;
    }
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof ApiException) {
    if (error.code === 401) return "the API server does not know this user (401)";
    if (error.code === 403) return "this user may not read it (403)";
    return `the API server answered ${error.code}`;
  }
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message : "";
  return cause === "" ? error.message : `${error.message}: ${cause}`;
}
