import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "../../config/load/load.ts";
import { hostOf } from "../../plan/host.ts";
import { plan, type Plan } from "../../plan/plan.ts";
import { type Decision, decisionsOf } from "../decisions.ts";
import { code, markdownTable } from "./markdown.ts";

/** A Docker site whose facts the cluster gets, too. */
const dockerSite = "docker-example";

export interface SiteDifference {
  readonly decision: string;
  /** Undefined where that Plan has no such decision. */
  readonly cluster: string | undefined;
  readonly docker: string | undefined;
}

/** What differs in the Plan of `config/single-node.yaml` where the site is a cluster or a Docker host with the same facts. */
export function differences(root: string): SiteDifference[] {
  const docker = load(root, { stack: "single-node", site: dockerSite }).settings;
  const cluster = load(root, { stack: "single-node", site: "lab" }).settings;
  if (docker.site.kind !== "docker" || cluster.site.kind !== "kubernetes") {
    throw new Error("the example sites are of other kinds");
  }
  const {
    docker: _docker,
    mutatingAdmission: _mutation,
    machineSection: _section,
    ...facts
  } = hostOf(docker);
  const asCluster = { ...cluster, site: { ...cluster.site, ...facts } };
  const [ofCluster, ofDocker] = [asCluster, docker].map((one) => decisionsAbout(plan(one)));
  if (!ofCluster || !ofDocker) return [];
  return [...new Set([...ofCluster.keys(), ...ofDocker.keys()])].flatMap((decision) => {
    const [a, b] = [ofCluster.get(decision), ofDocker.get(decision)].map(shown);
    return a === b ? [] : [{ decision, cluster: a, docker: b }];
  });
}

/** All decisions, those about the targets of the egress proof as one: a host has other neighbours. */
function decisionsAbout(decided: Plan): Map<string, Decision> {
  const others = [...decisionsOf(decided)].filter(
    ([name]) => !name.startsWith("isolation.targets"),
  );
  const value = decided.isolation.targets.map(({ name }) => name).join("; ");
  return new Map([...others, ["isolation.targets", { value }]]);
}

function shown(decision: Decision | undefined): string | undefined {
  return decision?.value;
}

const begin = "<!-- made by npm run docs; do not edit from here -->";
const end = "<!-- to here -->";

/** docs/docker.md: what is written by hand, with the table in it. */
export function dockerPage(root: string): string {
  const text = readFileSync(join(root, "docs/docker.md"), "utf8");
  const [before = "", rest = ""] = text.split(begin);
  const after = rest.split(end)[1] ?? "";
  const cell = (value: string | undefined) =>
    value === undefined ? "–" : code(value || "(empty)");
  const table = markdownTable(
    ["Decision", "Cluster", "Docker host"],
    differences(root).map(({ decision, cluster, docker }) => [
      code(decision),
      cell(cluster),
      cell(docker),
    ]),
  );
  return `${before}${begin}\n\n${table}\n\n${end}${after}`;
}
