/** What preflight knows of a cluster. */
import type { Attempts } from "../../plan/attempts.ts";
import type { Fact } from "./fact.ts";
import type { AdmissionFact } from "./admission.ts";
import type { Features } from "./apis.ts";
import type { Bounds } from "./bounds.ts";
import type { AgentFact } from "./cni.ts";
import type { NamespaceFact } from "./namespaces.ts";
import type { NodeFact } from "./nodes.ts";
import type { OperatorFact } from "./operator.ts";
import type { PodFact } from "./pods.ts";
import type { BuilderFact } from "../docker/builder.ts";
import type { PolicyFact } from "./policies.ts";
import type { Right } from "./rights.ts";
import type { RunFact } from "./run.ts";
import type { ClaimFact, StorageClassFact, VolumeFact } from "./storage.ts";

export type { NamespaceFact } from "./namespaces.ts";
export type { NodeFact } from "./nodes.ts";

export interface Facts {
  /** Its version. */
  readonly server: Fact<string>;
  /** What tells it from every other cluster. */
  readonly identity: Fact<string>;
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
  /** Objects of other owners with names of the stack's own. */
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
  /** The run that the stack has; undefined where it has none. */
  readonly run: Fact<RunFact | undefined>;
  /** Ports on which the API server itself answers, behind its Service. */
  readonly apiServerPorts: Fact<readonly number[]>;
  /** Which of the stack's Jobs have failed. */
  readonly attempts: Fact<Attempts>;
  /** Docker daemon of the machine that runs Pulumi; not asked unless the stack builds images. */
  readonly builder: Fact<BuilderFact>;
}
