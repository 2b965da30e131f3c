/** Asks a cluster everything that preflight must know of it. */
import type { Facts } from "./facts.ts";
import type { Plan } from "../../plan/plan.ts";
import type { Fact } from "./fact.ts";
import { readAdmission } from "./admission.ts";
import { type Apis, featuresOf, readApis } from "./apis.ts";
import { readBounds } from "./bounds.ts";
import { readApiServerPorts } from "./api-server.ts";
import { readAttempts, readTrainerJob } from "./jobs.ts";
import { readBuilder } from "../docker/builder.ts";
import { type Access, type Client, connect, read } from "./client.ts";
import { readNetworkAgents } from "./cni.ts";
import { readIdentity } from "./identity.ts";
import { readNamesakes } from "./namesakes.ts";
import { readNamespaces } from "./namespaces.ts";
import { readNodes } from "./nodes.ts";
import { nothingKnown } from "./nothing.ts";
import { readOperator } from "./operator.ts";
import { readPods } from "./pods.ts";
import { readOtherPolicies, readPolicies } from "./policies.ts";
import { readRun } from "./run.ts";
import { readMissingRights } from "./rights.ts";
import { readRuntimeClasses } from "./runtime-classes.ts";
import { readClaims, readStorageClasses, readVolumes } from "./storage.ts";

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

const nothingToBuild = { known: false, reason: "the stack builds no image" } as const;

async function readAll(client: Client, plan: Plan): Promise<Facts> {
  const { names } = plan;
  const server = read(
    async () => (await client.get<{ gitVersion: string }>("/version")).gitVersion,
  );
  const apis = readApis(client);
  const nodes = readNodes(client);
  const namespaces = readNamespaces(client, names);
  const trainerJob = readTrainerJob(client, names);
  const reading = {
    server,
    identity: readIdentity(client),
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
    run: readRun(client, names, trainerJob),
    apiServerPorts: readApiServerPorts(client),
    attempts: readAttempts(client, names, trainerJob),
    builder: plan.builds.length > 0 ? readBuilder() : nothingToBuild,
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
