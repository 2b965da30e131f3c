/** The KubeRay operator, a process on this machine, and its custom resource definitions. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pause } from "../interrupt.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import type { LabRecord } from "../record.ts";
import { startService } from "../run.ts";
import type { Api } from "./api.ts";
import { answers, waitFor } from "./health.ts";
import { executableOf, logOf, operatorPart } from "./parts.ts";

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/**
 * Installs the operator's definitions and waits until the API server serves them.
 * @returns How many were missing.
 */
export async function installDefinitions(api: Api, tools: LabRecord["tools"]): Promise<number> {
  const operator = tools.find(({ name }) => name === operatorPart);
  if (!operator)
    throw new LabError(`The lab has no ${operatorPart}. Bring it up again: npm run lab -- up`);
  const folder = join(dirname(operator.path), "crds");
  // Files are named after group and plural, as controller-gen does: ray.io_rayclusters.yaml.
  const files = readdirSync(folder).filter((file) => /^[\w.]+_\w+\.yaml$/.test(file));
  const all = files.map((file) => {
    const [group = "", plural = ""] = file.slice(0, -".yaml".length).split("_");
    return { file, group, plural };
  });
  const groups = [...new Set(all.map(({ group }) => group))];
  const unserved = async () => {
    const served = (await Promise.all(groups.map((group) => servedBy(api, group)))).flat();
    return all.filter(({ plural }) => !served.includes(plural));
  };
  const missing = await unserved();
  await Promise.all(
    missing.map(async ({ file, group, plural }) => {
      await api.apply(
        `${definitions}/${plural}.${group}`,
        readFileSync(join(folder, file), "utf8"),
      );
    }),
  );
  // Uses discovery, since each definition is about a megabyte.
  while ((await unserved()).length > 0) await pause(100);
  return missing.length;
}

/** Names of the resources that the API server serves for a group. */
async function servedBy(api: Api, group: string): Promise<string[]> {
  const found = await api.get<{ versions: { groupVersion: string }[] }>(`/apis/${group}`);
  const lists = await Promise.all(
    (found?.versions ?? []).map(({ groupVersion }) =>
      api.get<{ resources: { name: string }[] }>(`/apis/${groupVersion}`),
    ),
  );
  return lists.flatMap((list) => list?.resources.map(({ name }) => name) ?? []);
}

export async function startOperator(
  paths: LabPaths,
  ports: NonNullable<LabRecord["operatorPorts"]>,
): Promise<void> {
  mkdirSync(paths.logs, { recursive: true });
  startService(
    executableOf(paths, operatorPart),
    [
      "--kubeconfig",
      paths.kubeconfig,
      "--use-kubernetes-proxy",
      "--enable-leader-election=false",
      "--metrics-addr",
      `127.0.0.1:${ports.metrics}`,
      "--health-probe-bind-address",
      `127.0.0.1:${ports.health}`,
    ],
    { cwd: paths.directory, env: process.env, log: logOf(paths, operatorPart) },
  );
  await waitFor(paths, operatorPart, () => answers(`http://127.0.0.1:${ports.health}/readyz`));
}
