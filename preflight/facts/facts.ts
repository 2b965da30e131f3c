import type { Plan } from "../../plan/plan.ts";
import type { Fact } from "./fact.ts";
import { type AdmissionFact, readAdmission } from "./admission.ts";
import { type Apis, type Features, featuresOf, readApis } from "./apis.ts";
import { type Bounds, readBounds } from "./bounds.ts";
import { type Access, type Client, connect, read } from "./client.ts";
import { type AgentFact, readNetworkAgents } from "./cni.ts";
import { readNamesakes } from "./namesakes.ts";
import { type NamespaceFact, readNamespaces } from "./namespaces.ts";
import { type NodeFact, readNodes } from "./nodes.ts";
import { nothingKnown } from "./nothing.ts";
import { type OperatorFact, readOperator } from "./operator.ts";
import { type PodFact, readPods } from "./pods.ts";
import { type PolicyFact, readOtherPolicies, readPolicies } from "./policies.ts";
import { readMissingRights, type Right } from "./rights.ts";
import { readRuntimeClasses } from "./runtime-classes.ts";
import {
  type ClaimFact,
  readClaims,
  readStorageClasses,
  readVolumes,
  type StorageClassFact,
  type VolumeFact,
} from "./storage.ts";

export type { NamespaceFact } from "./namespaces.ts";
export type { NodeFact } from "./nodes.ts";

/** What preflight knows of a cluster. */
export interface Facts {
  /** Its version. */
  readonly server: Fact<string>;
  readonly features: Fact<Features>;
  /** Versions of the RayCluster kind that are served; none without KubeRay. */
  readonly rayClusterVersions: Fact<readonly string[]>;
  /** Versions of Karpenter's NodePool kind that are served; none without Karpenter. */
  readonly nodePoolVersions: Fact<readonly string[]>;
  /** KubeRay's operator; undefined where it does not run inside the cluster. */
  readonly operator: Fact<OperatorFact | undefined>;
  readonly nodes: Fact<readonly NodeFact[]>;
  /** Pods that have part of a node that the stack could use, or wait for one; this stack's own among them. */
  readonly pods: Fact<readonly PodFact[]>;
  /** Those of the stack's namespaces that are there already. */
  readonly namespaces: Fact<readonly NamespaceFact[]>;
  /** Objects of somebody else with the names of the stack's own. */
  readonly namesakes: Fact<readonly string[]>;
  readonly storageClasses: Fact<readonly StorageClassFact[]>;
  readonly volumes: Fact<readonly VolumeFact[]>;
  /** Claims of the training namespace. */
  readonly claims: Fact<readonly ClaimFact[]>;
  /** What the account that runs Pulumi may not do. */
  readonly missingRights: Fact<readonly Right[]>;
  readonly bounds: Fact<Bounds>;
  readonly admission: Fact<AdmissionFact>;
  readonly networkAgents: Fact<readonly AgentFact[]>;
  /** Network policies in the stack's namespaces. */
  readonly policies: Fact<readonly PolicyFact[]>;
  /** Network policies of other kinds than Kubernetes' own. */
  readonly otherPolicies: Fact<readonly string[]>;
  readonly runtimeClasses: Fact<readonly string[]>;
}

/** Reads everything at once, each with its own time limit; a few begin with what another has found. */
export async function readFacts(access: Access, plan: Plan): Promise<Facts> {
  let client: Client;
  try {
    client = connect(access);
  } catch (error) {
    return nothingKnown(error instanceof Error ? error.message : String(error));
  }
  try {
    return await readAll(client, plan);
  } finally {
    client.close();
  }
}

async function readAll(client: Client, plan: Plan): Promise<Facts> {
  const { names } = plan;
  const server = read(
    async () => (await client.get<{ gitVersion: string }>("/version")).gitVersion,
  );
  const apis = readApis(client);
  const nodes = readNodes(client);
  const namespaces = readNamespaces(client, names);
  const reading = {
    server,
    apis,
    operator: readOperator(client),
    nodes,
    pods: readPods(client, nodes, plan),
    namespaces,
    namesakes: readNamesakes(client, namespaces, plan),
    storageClasses: readStorageClasses(client),
    volumes: readVolumes(client),
    claims: readClaims(client, names.namespaces.train),
    missingRights: readMissingRights(client, plan),
    bounds: readBounds(client, names),
    admission: readAdmission(client, namespaces, plan),
    networkAgents: readNetworkAgents(client),
    policies: readPolicies(client, names),
    otherPolicies: readOtherPolicies(client, apis, names),
    runtimeClasses: readRuntimeClasses(client),
  };
  const { apis: served, ...rest } = await settled(reading);
  return {
    ...rest,
    features: featuresOf(rest.server, served),
    rayClusterVersions: versionsOf(served, "rayclusters.ray.io"),
    nodePoolVersions: versionsOf(served, "nodepools.karpenter.sh"),
  };
}

/** The values of promises that are all under way. */
async function settled<T extends object>(
  promises: T,
): Promise<{ [Key in keyof T]: Awaited<T[Key]> }> {
  const entries = Object.entries(promises).map(
    async ([key, promise]) => [key, (await promise) as unknown] as const,
  );
  return Object.fromEntries(await Promise.all(entries)) as {
    [Key in keyof T]: Awaited<T[Key]>;
  };
}

function versionsOf(apis: Fact<Apis>, name: string): Fact<readonly string[]> {
  return apis.known ? { known: true, value: apis.value.get(name) ?? [] } : apis;
}
