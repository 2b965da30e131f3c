import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { sourceSeparator } from "../../../cli/docs/markdown.ts";
import { knownPaths } from "../../../config/load/validate.ts";
import type { Settings } from "../../../config/load/load.ts";
import { dockerSite } from "../../../config/schema/docker-site.ts";
import { experiment, tiers } from "../../../config/schema/experiment.ts";
import { kubernetesSite } from "../../../config/schema/site.ts";
import { plan } from "../../../plan/plan.ts";
import { ruleById, ruleIds } from "../../../rules/index.ts";
import { onDocker } from "../../support/docker.ts";
import { anchorsOf, linksOf } from "../../support/markdown.ts";
import { projectRoot, settingsWith } from "../../support/settings.ts";

const documents = ["README.md", "CHANGELOG.md", ...globSync("docs/*.md", { cwd: projectRoot })];

const read = (file: string) => readFileSync(join(projectRoot, file), "utf8");

const anchors = new Map(documents.map((file) => [file, anchorsOf(read(file))]));

/** Whether `docs/page.md#anchor`, below the project, is there. */
function resolves(target: string): boolean {
  const [file = "", anchor] = target.split("#");
  if (!existsSync(join(projectRoot, file))) return false;
  return anchor === undefined || anchors.get(file)?.has(anchor) === true;
}

describe("the documents", () => {
  it.each(documents)("%s has no link that leads nowhere inside the project", (file) => {
    const targets = linksOf(read(file))
      .filter((target) => !/^[a-z]+:/.test(target))
      .map((target) => (target.startsWith("#") ? `${file}${target}` : join(dirname(file), target)));
    expect(targets.filter((target) => !resolves(target))).toEqual([]);
  });

  it.each(documents)("%s names no document that is not there", (file) => {
    const named = read(file).matchAll(/\bdocs\/[a-z-]+\.md(?:#[a-z0-9-]+)?/g);
    expect([...named].map(([target]) => target).filter((target) => !resolves(target))).toEqual([]);
  });

  it.each(documents)("%s names no program that is not there", (file) => {
    const named = read(file).matchAll(/`((?:bench|plan|runtime|stacks)\/[\w/.-]+\.(?:py|ts))`/g);
    const gone = [...named].filter(([, path = ""]) => !existsSync(join(projectRoot, path)));
    expect(gone.map(([, path]) => path)).toEqual([]);
  });

  it("takes no heading or link from code", () => {
    const page =
      "# A `b.c` d\n```sh\n# no [x](y)\n```\n## A b.c d\n[z](u#v) `[p](q)`\n# A `b.c` d\n";
    expect([...anchorsOf(page)]).toEqual(["a-bc-d", "a-bc-d-1", "a-bc-d-2"]);
    expect(linksOf(page)).toEqual(["u#v"]);
  });
});

const settingNames = new Set(
  [experiment, kubernetesSite, dockerSite].flatMap((schema) =>
    knownPaths(schema).map((path) => path.join(".")),
  ),
);

/** The sources that lead to no place: a public URL, a measurement, a setting or a paragraph of this project. */
function lost(sources: Iterable<string>): string[] {
  return [...new Set(sources)]
    .flatMap((source) => source.split(sourceSeparator))
    .filter((source) => !/^https:\/\/[^\s/]+\/?\S*$/.test(source))
    .filter((source) => !/^measured \d{4}-\d{2}-\d{2}\b.*: ./.test(source))
    .filter((source) => !settingNames.has(source))
    .filter((source) => !(source.startsWith("docs/") && resolves(source)));
}

/** Settings that between them take every branch of the command line and the environment. */
function everyBranch(): Settings[] {
  const changes = [
    "",
    "smoke: true",
    "algorithm: { adv_estimator: ppo, rollout_is: token }",
    "verl: { version: 0.9.1, distribution: stock }",
    "verl: { overrides: { trainer.balance_batch: true } }",
    "sandbox: { profile: sidecar }",
    ...["veomni", "megatron"].map((engine) => `verl: { engine: ${engine} }`),
    ...["R2", "R3"].map((mode) => `verl: { router_replay: ${mode} }`),
    ...["claude-code", "openhands-sdk", "openhands", "opencode", "custom"].flatMap((scaffold) =>
      ["litellm", "in_process"].map(
        (mode) => `harbor_agent: { scaffold: ${scaffold} }\nproxy: { mode: ${mode} }`,
      ),
    ),
  ];
  const onCluster = tiers.flatMap((base) =>
    changes.flatMap((yaml) =>
      ["lab", "example"].map((site) => settingsWith(yaml, { base, site }).settings),
    ),
  );
  return [...onCluster, onDocker().settings];
}

describe("sources", () => {
  it.each(ruleIds)("of rule %s lead to a place", (id) => {
    expect(lost([ruleById[id].source])).toEqual([]);
  });

  it("of every override and variable of the Plan lead to a place", () => {
    const trainers = everyBranch().map((settings) => plan(settings).trainer);
    const rows = trainers.flatMap(({ overrides, environment }) => [...overrides, ...environment]);
    expect(lost(rows.map(({ source }) => source))).toEqual([]);
  });

  it("in the text of plan/ and rules/ lead to a place", () => {
    const files = globSync("{plan,rules}/**/*.ts", { cwd: projectRoot });
    const named = files.flatMap((file) =>
      [...read(file).matchAll(/\bdocs\/[a-z-]+\.md(?:#[a-z0-9-]+)?/g)].map(([target]) => target),
    );
    expect(named.filter((target) => !resolves(target))).toEqual([]);
  });

  it("that lead nowhere are found", () => {
    const wrong = ["D-14", "domain 7.2", "docs/no.md", "docs/decisions.md#no", "no.setting"];
    expect(lost([...wrong, "vllm.gen_tp", "docs/decisions.md#c-01"])).toEqual(wrong);
  });
});
