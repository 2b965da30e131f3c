import { describe, expect, it } from "vitest";
import type { Settings } from "../../../config/load/load.ts";
import { ConfigError } from "../../../config/load/problem.ts";
import { plan, type Plan } from "../../../plan/plan.ts";
import { planAsJson } from "../../../plan/summary/index.ts";
import { building, repository } from "../../support/building.ts";
import { dockerSiteYaml, onDocker } from "../../support/docker.ts";

const planned = (...given: Parameters<typeof building>) => plan(building(...given).settings);
const names = ({ builds }: Plan) => builds.map(({ name }) => name);
const referenceOf = ({ builds }: Plan, name: string) =>
  builds.find((build) => build.name === name)?.reference ?? "";
const environmentOf = (plan: Plan) =>
  (planAsJson(plan) as { trainer: { env: Record<string, string> } }).trainer.env;

/** Settings whose recipes have changed. */
function changed(settings: Settings, name: "training" | "claude-code" | "opencode"): Settings {
  const { recipeDigests } = settings;
  if (!recipeDigests) throw new Error("the site builds nothing");
  return { ...settings, recipeDigests: { ...recipeDigests, [name]: "other" } };
}

function messages(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path.join(".")} ${message}`);
  }
}

describe("images.build", () => {
  it("makes the training image and the runtime of the scaffold, and the Plan runs them", () => {
    const decided = planned();
    expect(names(decided)).toEqual(["training", "claude-code"]);
    const [training, runtime] = [
      referenceOf(decided, "training"),
      referenceOf(decided, "claude-code"),
    ];
    expect(training).toMatch(/^registry.example.com\/team\/swe-rl\/training:cuda-[0-9a-f]{16}$/);
    expect(runtime).toMatch(/^registry.example.com\/team\/swe-rl\/claude-code:[0-9a-f]{16}$/);
    expect([decided.ray.image, decided.trainer.image]).toEqual([training, training]);
    expect(environmentOf(decided)["HARBOR_AGENT_RUNTIME_IMAGE"]).toBe(runtime);
    expect(decided.builds.map(({ registry }) => registry)).toEqual([
      "registry.example.com",
      "registry.example.com",
    ]);
  });

  it("makes nothing where the site names its image", () => {
    const { settings } = onDocker("");
    expect(settings.recipeDigests).toBeUndefined();
    expect(plan(settings).builds).toEqual([]);
  });

  it("makes only what the experiment does not bring", () => {
    const own = "harbor_agent: { runtime_image: registry.example.com/cc:1 }";
    expect(names(planned(own))).toEqual(["training"]);
    const both = `${own}\ntrainer: { image: registry.example.com/rl:1 }`;
    expect(names(planned(both))).toEqual([]);
  });

  it("leaves the fork its own runtime, and what there is no recipe for", () => {
    const fork = planned("", { base: "single-node" });
    expect(names(fork)).toEqual(["training"]);
    expect(fork.scaffold).toMatchObject({ version: "2.1.118" });
    expect(names(planned("harbor_agent: { scaffold: openhands }"))).toEqual(["training"]);
  });

  it("gives frozen models what they would run without it", () => {
    const decided = planned("serving: [{ name: judge, model_path: /models/judge, gpus: 1 }]");
    expect(decided.serving[0]?.image).toBe(referenceOf(decided, "training"));
  });

  it("stays on a Docker host that names no repository, and is pushed by one that does", () => {
    const site = (build: string) =>
      dockerSiteYaml.replace(/images: .*/, `images: { build: ${build} }`);
    const at = (build: string) =>
      plan(onDocker("", { base: "single-node-stock", site: site(build) }).settings);
    const [kept] = at("{}").builds;
    expect(kept?.registry).toBeUndefined();
    expect(kept?.reference).toMatch(/^localhost\/swe-rl\/training:cuda-/);
    expect(at("{}").isolation.image).toBe(kept?.reference);
    expect(at(`{ repository: ${repository} }`).builds[0]?.registry).toBe("registry.example.com");
  });
});

describe("the tag of a built image", () => {
  const { settings } = building();
  const tagOf = (given: Settings, name = "training") => referenceOf(plan(given), name);

  it("changes exactly with its recipe, and the run with it", () => {
    const other = changed(settings, "training");
    expect(tagOf(other)).not.toBe(tagOf(settings));
    expect(plan(other).trainer.fingerprint).not.toBe(plan(settings).trainer.fingerprint);
    expect(plan(changed(settings, "opencode"))).toEqual(plan(settings));
    expect(tagOf(changed(settings, "claude-code"))).toBe(tagOf(settings));
  });

  it("changes with the arguments of the build, in whatever order they are written", () => {
    const withArgs = (args: string) =>
      tagOf(building("", { build: `{ repository: ${repository}, args: ${args} }` }).settings);
    const jobs = withArgs('{ training: { MAX_JOBS: "8", RUN_AS: swe-rl } }');
    expect(jobs).not.toBe(tagOf(settings));
    expect(withArgs('{ training: { RUN_AS: swe-rl, MAX_JOBS: "8" } }')).toBe(jobs);
    expect(withArgs("{ opencode: { BASE: mirror.example/node:24 } }")).toBe(tagOf(settings));
  });

  it("is what the image says of itself, and says the variant", () => {
    const { builds } = planned("", { build: `{ repository: ${repository}, variant: cpu }` });
    const { args, reference, tag } = builds[0] ?? { args: {}, reference: "", tag: "" };
    expect(args).toEqual({ VARIANT: "cpu", VERSION: tag });
    expect(reference.endsWith(`:${tag}`)).toBe(true);
    expect(reference).toContain("/training:cpu-");
  });
});

describe("what images.build does not take", () => {
  it.each([
    ["{ repository: team/swe-rl }", /^images.build.repository must be a registry's host/],
    ["{ repository: registry.example.com/x:1 }", /^images.build.repository .* without a tag/],
    ["{}", /^images.build.repository is required/],
    [
      "{ repository: r.example/x, args: { training: { VARIANT: cpu } } }",
      /images.build.variant says it/,
    ],
    ["{ repository: r.example/x, args: { training: { VERSION: a } } }", /the stack sets it/],
    ["{ repository: r.example/x, args: { training: { NPM_TOKEN: a, API_KEY: a } } }", /no secret/],
    [
      '{ repository: r.example/x, args: { opencode: { HTTPS_PROXY: "http://a:b@c" } } }',
      /no user and password/,
    ],
    ["{ repository: r.example/x, args: { ray: {} } }", /images.build.args/],
  ])("%s", (build, message) => {
    expect(messages(() => building("", { build }))).toEqual([expect.stringMatching(message)]);
  });

  it.each(["registry:5000/x", "localhost:5000/x", "docker.io/team", "10.0.0.7:5000/a/b_c-d"])(
    "but repository %s",
    (name) => {
      expect(messages(() => building("", { build: `{ repository: "${name}" }` }))).toEqual([]);
    },
  );

  it("a training image beside it, nor neither of them", () => {
    const site = (images: string) => dockerSiteYaml.replace(/images: .*/, `images: { ${images} }`);
    const at = (images: string) => messages(() => onDocker("", { site: site(images) }));
    expect(at("training: a/b:1, build: {}")).toEqual([
      expect.stringMatching(/^images.training must be left out beside images.build/),
    ]);
    expect(at("litellm: a/b:1")).toEqual([
      expect.stringMatching(/^images.training must name your image, unless images.build/),
    ]);
  });
});
