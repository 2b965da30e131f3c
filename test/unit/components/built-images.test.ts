import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { loginOf } from "../../../components/images/built-images.ts";
import { plan } from "../../../plan/plan.ts";
import { buildContext } from "../../../stacks/build-context.ts";
import { localBuilder } from "../../../stacks/images.ts";
import { building, digestOf } from "../../support/building.ts";
import { dockerSiteYaml, onDocker, provisionOnDocker } from "../../support/docker.ts";
import { type Recording, record } from "../../support/recorder.ts";
import { projectRoot } from "../../support/settings.ts";
import { recordSettings, recordTier } from "../../support/tier.ts";

const imageType = "docker:index/image:Image";
const { settings } = building("sandbox: { prepull: { enabled: true } }");
const references = plan(settings).builds.map(({ reference }) => reference);

/** Registrations of objects that name an image in some way, as JSON. */
const objects = ({ registrations }: Recording) =>
  registrations
    .filter(({ custom, type }) => custom && type !== imageType)
    .map((one) => ({ ...one, text: JSON.stringify(one.inputs) }));

describe("images that a stack builds", () => {
  it("are built from the recipe for the machines that training has, and pushed", async () => {
    const { recording } = await recordSettings(settings);
    const image = recording.one(imageType, "images-training");
    const [tag = ""] = references[0]?.split(":").slice(-1) ?? [];
    expect(image.inputs).toEqual({
      imageName: references[0],
      build: {
        ...buildContext("training", tag),
        args: { VARIANT: "cuda", VERSION: tag },
        platform: "linux/amd64",
      },
      skipPush: false,
      // A build takes minutes: nobody waits for one to look at what would change.
      buildOnPreview: false,
    });
    expect(image.retainOnDelete).toBe(true);
    expect(recording.one(imageType, "images-claude-code").inputs["imageName"]).toBe(references[1]);
    expect(recording.one("pulumi:providers:docker", "image-builder").inputs).not.toHaveProperty(
      "ca",
    );
  });

  it("are named by their digest wherever the Plan names them, and come before", async () => {
    const { recording } = await recordSettings(settings);
    const images = ["training", "claude-code"].map((name) => ({
      digest: digestOf(name),
      urn: recording.one(imageType, `images-${name}`).urn,
    }));
    for (const { text } of objects(recording)) {
      for (const reference of references) expect(text).not.toContain(reference);
    }
    for (const { digest, urn } of images) {
      const users = objects(recording).filter(({ text }) => text.includes(digest));
      for (const { name, dependencies } of users) expect(dependencies, name).toContain(urn);
    }
    const usersOf = (name: string) =>
      objects(recording)
        .filter(({ text }) => text.includes(digestOf(name)))
        .map((one) => one.name)
        .sort();
    expect(usersOf("training")).toEqual([
      "inputs-check",
      "policy-check",
      "ray",
      "recorder",
      "rollout-check",
      "sandbox-reaper",
      "trainer",
    ]);
    // In the environment of the agent loops, and where nodes are to have it.
    expect(usersOf("claude-code")).toEqual(["image-prepull", "inputs-check", "ray"]);
  });

  it("keep the right to push out of the cluster", async () => {
    const auths = { "registry.example.com": { auth: btoa("bob:right-to-push") } };
    const secrets = { pushCredentials: JSON.stringify({ auths }) };
    const { recording } = await recordSettings(settings, { secrets });
    const { inputs } = recording.one(imageType, "images-training");
    const value = {
      server: "registry.example.com",
      username: "bob",
      password: "right-to-push",
    };
    // The engine's mark of a secret: the state has it encrypted.
    const secret = "1b47061264138c4ac30d75fd1eb44270";
    expect(inputs["registry"]).toEqual({ "4dabf18193072939515e22adb298388d": secret, value });
    for (const { text } of objects(recording)) expect(text).not.toMatch(/right-to-push|cmlnaHQt/);
  });

  it("are known in a preview only after they are built", async () => {
    const { recording } = await recordSettings(settings, { preview: true });
    const ray = objects(recording).find(({ name }) => name === "ray");
    expect(ray?.text).toContain(`"image":"${pulumi.runtime.unknownValue}"`);
  });

  it("need no daemon and no plugin where there are none", async () => {
    const { recording } = await recordTier();
    expect(recording.registrations.filter(({ type }) => type.includes("docker"))).toEqual([]);
  });

  it("stay on a Docker host, and its containers run them by their id", async () => {
    const site = dockerSiteYaml.replace(/images: .*/, "images: { build: {} }");
    const decided = plan(onDocker("", { base: "single-node-stock", site }).settings);
    const recording = await record(() => provisionOnDocker(decided));
    const { inputs, provider } = recording.one(imageType, "images-training");
    expect(inputs).toMatchObject({ skipPush: true, imageName: decided.trainer.image });
    expect(provider).toBe(recording.one("docker:index/container:Container", "ray").provider);
    const containers = objects(recording).filter(({ type }) => type.endsWith(":Container"));
    const named = new Set(containers.map(({ inputs }) => inputs["image"]));
    const { image: liteLlm } = decided.proxy.mode === "litellm" ? decided.proxy : { image: "" };
    expect(named).toEqual(new Set([`sha256:${"ab".repeat(32)}`, liteLlm]));
    for (const { text } of containers) {
      for (const { reference } of decided.builds) expect(text).not.toContain(reference);
    }
  });
});

describe("the builder of a cluster's images", () => {
  const hostWith = async (absent: boolean, preview = true) => {
    // Without braces it would be an output of the stack.
    const program = () => {
      localBuilder(absent);
    };
    const recording = await record(program, { preview });
    return recording.one("pulumi:providers:docker", "image-builder").inputs["host"];
  };

  it("is the daemon that the shell names", async () => {
    process.env["DOCKER_HOST"] = "tcp://builder.example:2376";
    try {
      expect(await hostWith(false)).toBe("tcp://builder.example:2376");
      // An update without a daemon ends by what the plugin says.
      expect(await hostWith(true, false)).toBe("tcp://builder.example:2376");
    } finally {
      delete process.env["DOCKER_HOST"];
    }
  });

  it("is not known yet where none answers, so that the engine does not ask the plugin", async () => {
    expect(await hostWith(true)).toBe(pulumi.runtime.unknownValue);
  });
});

describe("the build context", () => {
  const tag = "test-of-the-context";
  const { context, dockerfile } = buildContext("openhands-sdk", tag);
  const folder = resolve(context, "..");

  it("holds the recipe's sources alone, with rights and times of no machine", () => {
    expect(readdirSync(context).sort()).toEqual(["build.txt", "relocate.py", "requirements.txt"]);
    for (const file of readdirSync(context)) {
      const { mode, mtimeMs } = statSync(join(context, file));
      expect([mode & 0o777, mtimeMs]).toEqual([0o644, 0]);
    }
    expect(readFileSync(dockerfile, "utf8")).toBe(
      readFileSync(join(projectRoot, "images/agents/openhands-sdk/Containerfile"), "utf8"),
    );
  });

  it("is at a path that does not tell where the checkout is", () => {
    expect(context).not.toContain(projectRoot);
    expect(buildContext("openhands-sdk", tag)).toEqual({ context, dockerfile });
  });

  it("leaves no draft behind", () => {
    expect(readdirSync(resolve(folder, "..")).filter((name) => name.startsWith("."))).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});

describe("the login for a push", () => {
  const file = (auths: object) => JSON.stringify({ auths });

  it.each([
    [{ "r.example:5000": { auth: btoa("bob:a:b") } }, "r.example:5000"],
    [{ "https://r.example:5000": { username: "bob", password: "a:b" } }, "r.example:5000"],
    [{ "https://index.docker.io/v1/": { auth: btoa("bob:a:b") } }, "docker.io"],
  ])("is that of the registry in %j", (auths, registry) => {
    expect(loginOf(file(auths), registry)).toEqual({
      server: registry,
      username: "bob",
      password: "a:b",
    });
  });

  it.each([
    {},
    { "other.example": { auth: btoa("bob:x") } },
    { "r.example": { auth: btoa("bob") } },
  ])("is missed before the build: %j", (auths) => {
    expect(() => loginOf(file(auths), "r.example")).toThrow(/no login for r.example/);
  });
});
