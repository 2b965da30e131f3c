import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { CommandError } from "../../../cli/command.ts";
import {
  buildCommand,
  type BuildRequest,
  digestIn,
  runInImage,
  sizeInWords,
  timeInWords,
} from "../../../cli/image/builders.ts";
import { imageCheck } from "../../../cli/image/check.ts";
import { BuildContext } from "../../../cli/image/context.ts";
import { checkReference, localReference } from "../../../cli/image/images.ts";
import { readSource } from "../../../cli/image/source.ts";
import { imageNames, recipes } from "../../../config/schema/recipes.ts";
import { projectRoot } from "../../support/settings.ts";

const digest = `sha256:${"a".repeat(64)}`;

const request: BuildRequest = {
  name: "training",
  variant: "cpu",
  tags: ["localhost/swe-rl/training:1-cpu", "registry.example/rl/training:1"],
  source: { version: "1", revision: "abc", epoch: "7" },
  further: ["--network", "host"],
  containerfile: "/project/images/training/Containerfile",
  context: "/context",
  idFile: "/id",
};

describe("what builders are called with", () => {
  it("builds the training image", () => {
    expect(buildCommand("docker", request).join(" ")).toBe(
      "docker build --file /project/images/training/Containerfile --iidfile /id " +
        "--tag localhost/swe-rl/training:1-cpu --tag registry.example/rl/training:1 " +
        "--build-arg VARIANT=cpu --build-arg SOURCE_DATE_EPOCH=7 --build-arg VERSION=1 --build-arg REVISION=abc " +
        "--network host /context",
    );
  });

  it("builds an agent's image, which has no variant, for another platform and on another base", () => {
    const command = buildCommand("buildah", {
      ...request,
      name: "opencode",
      tags: ["a:1"],
      base: "mirror.example/node:24",
      platform: "linux/amd64",
      further: [],
    });
    expect(command.join(" ")).toBe(
      "buildah build --file /project/images/training/Containerfile --iidfile /id --tag a:1 --platform linux/amd64 " +
        "--build-arg BASE=mirror.example/node:24 --build-arg VERSION=1 --build-arg REVISION=abc /context",
    );
  });

  it("gives containers no network", () => {
    expect(runInImage("podman", "a:1", ["python3", "-m", "x"]).join(" ")).toBe(
      "podman run --rm --network none --env LITELLM_LOCAL_MODEL_COST_MAP=True --entrypoint python3 a:1 -m x",
    );
  });
});

describe("what builders say", () => {
  it("takes the digest of the manifest that was pushed last", () => {
    expect(digestIn(`1: Pushed\nv1: digest: ${digest} size: 1371\n`)).toBe(digest);
    expect(digestIn("denied")).toBeUndefined();
  });

  it.each([
    ["6731234567\n", "6.73 GB"],
    ["250400000", "250.4 MB"],
    ["6.27 GB\n", "6.27 GB"],
    ["", "unknown"],
  ])("size %j is %s", (printed, words) => {
    expect(sizeInWords(printed)).toBe(words);
  });

  it("says times as people do", () => {
    expect([timeInWords(12_400), timeInWords(725_000)]).toEqual(["12 s", "12 min 5 s"]);
  });
});

describe("names of images", () => {
  it.each(["registry.example:5000/rl/training:1.0", "localhost/swe-rl/training:0.1.0-cpu", "a"])(
    "takes %s",
    (reference) => {
      expect(checkReference(reference)).toBe(reference);
    },
  );

  it.each(["https://registry.example/a:1", "a b", "", `a@${digest}`, "-x", "a/:1", "a:"])(
    "refuses %j",
    (reference) => {
      expect(() => checkReference(reference)).toThrow(CommandError);
    },
  );

  it("keeps variants apart", () => {
    const { version } = readSource(projectRoot);
    const names = imageNames.map((name) => localReference(name, { variant: "cpu", version }));
    expect(names).toEqual([
      `localhost/swe-rl/training:${version}-cpu`,
      `localhost/swe-rl/claude-code:${version}`,
      `localhost/swe-rl/opencode:${version}`,
      `localhost/swe-rl/openhands-sdk:${version}`,
    ]);
  });
});

describe("recipes", () => {
  it.each(imageNames)("%s copies only what is there and what the builder gets", (name) => {
    const { file, context, sources } = recipes[name];
    const text = readFileSync(join(projectRoot, file), "utf8");
    const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = ""]) =>
      paths.split(" "),
    );
    expect(copied).not.toEqual([]);
    for (const path of copied.flatMap((one) =>
      ["cuda", "cpu"].map((variant) => one.replace("${VARIANT}", variant)),
    )) {
      expect(existsSync(join(projectRoot, context, path)), path).toBe(true);
      expect(
        sources.some((source) => path === source || path.startsWith(`${source}/`)),
        path,
      ).toBe(true);
    }
  });

  it.each(imageNames)(
    "%s names no registry but that of its base, and no path of a machine",
    (name) => {
      const folder = join(projectRoot, dirname(recipes[name].file));
      for (const file of readdirSync(folder)) {
        const text = readFileSync(join(folder, file), "utf8");
        expect(text, file).not.toMatch(/https?:\/\/|\/root\/|\/home\/|[^-]--index-url/);
      }
    },
  );

  it("locks every requirement by hashes", () => {
    const folder = join(projectRoot, "images/training");
    const locks = readdirSync(folder).filter((file) => file.endsWith(".txt"));
    expect(locks).toHaveLength(5);
    for (const file of locks) {
      const text = readFileSync(join(folder, file), "utf8");
      const requirements = text.replaceAll(/^\s*#.*$/gm, "").split(/\n(?=[a-z])/);
      for (const one of requirements.map((text) => text.trim()).filter(Boolean)) {
        expect(one, file).toMatch(/^[\w.-]+==\S+( ; .+?)? \\\n\s+--hash=sha256:/);
      }
    }
  });

  it("gives the builder no file that the project's tests and tools leave behind", () => {
    using root = new Folder();
    root.write("training/src/a.py", "");
    root.write("training/src/__pycache__/a.cpython-312.pyc", "");
    root.write("training/src/a.egg-info/PKG-INFO", "");
    root.write("training/pyproject.toml", "");
    const sources = ["training/src", "training/pyproject.toml"];
    using context = new BuildContext(root.path, { ...recipes.training, sources }, 1000);
    const entries = readdirSync(context.path, { recursive: true, encoding: "utf8" }).sort();
    expect(entries).toEqual([
      "training",
      "training/pyproject.toml",
      "training/src",
      "training/src/a.py",
    ]);
    expect(statSync(join(context.path, "training/src/a.py")).mtimeMs).toBe(1_000_000);
  });
});

describe("the check of an image", () => {
  const verl = { version: "0.9.1", distribution: "stock" };
  const argv = ["python3", "-m", "swe_rl_training.check", "--ray", "2", "--", "python3", "a=--"];

  it("starts nothing and looks at the image only", () => {
    expect(imageCheck("s", { argv, verl }, "cuda").join(" ")).toBe(
      "python3 -m swe_rl_training.check --ray 2 --only --image-only -- python3 a=--",
    );
  });

  it("expects no vLLM of the variant without GPU", () => {
    expect(imageCheck("s", { argv, verl }, "cpu")).toContain("--rehearsal");
  });

  it("knows only our own images", () => {
    const fork = { argv: ["python3", "-m", "verl"], verl: { ...verl, distribution: "fork" } };
    expect(() => imageCheck("s", fork, "cuda")).toThrow(/verl.distribution: fork/);
  });
});

/** A temporary folder. */
class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "swe-rl-image-test-"));

  write(file: string, text: string): void {
    const path = join(this.path, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Programs in place of the builders, which write down what they are called with. */
class Builders extends Folder {
  /** @param body Shell commands; `$1` is the builder's subcommand. */
  add(builder: string, body: string): this {
    this.write(
      `bin/${builder}`,
      `#!/bin/sh\nfor one in ${builder} "$@"; do printf '%s ' "$one"; done >> ${this.path}/calls\n` +
        `echo >> ${this.path}/calls\n${body}\n`,
    );
    chmodSync(join(this.path, "bin", builder), 0o755);
    return this;
  }

  get calls(): string[] {
    return readFileSync(join(this.path, "calls"), "utf8").trimEnd().split(" \n");
  }

  run(...args: string[]) {
    mkdirSync(join(this.path, "bin"), { recursive: true });
    const path = [join(this.path, "bin"), "/usr/bin", "/bin"];
    // The machine's own builders are hidden by programs that do not work.
    for (const builder of ["docker", "buildah", "podman"]) {
      if (!existsSync(join(this.path, "bin", builder))) this.add(builder, "exit 127");
    }
    return spawnSync(process.execPath, ["cli/image.ts", ...args], {
      cwd: projectRoot,
      encoding: "utf8",
      env: { ...process.env, PATH: path.join(delimiter) },
    });
  }
}

/** Writes an id, knows every image, and takes every push. */
const works = `
case "$1" in
  build)
    while [ $# -gt 0 ]; do [ "$1" = --iidfile ] && printf %s "${digest}" > "$2"; shift; done
    echo "Step 1/9 : FROM base"; echo "a warning" >&2 ;;
  push)
    while [ $# -gt 0 ]; do [ "$1" = --digestfile ] && printf %s "${digest}" > "$2"; shift; done
    echo "v1: digest: ${digest} size: 1371" ;;
  image | images) echo 6731234567 ;;
esac`;

describe("npm run image -- build", () => {
  it("takes the first builder that works, streams what it prints, and says what to write where", () => {
    using builders = new Builders().add(
      "docker",
      'echo "Cannot connect to the daemon" >&2; exit 1',
    );
    builders.add("buildah", works);
    const tag = "registry.example/rl/training:1";
    const { status, stdout, stderr } = builders.run("build", "training", "--tag", tag);
    expect(status).toBe(0);
    expect(stdout).toContain(`training (cuda): ${tag}\n  id     ${digest}\n  size   6.73 GB\n`);
    expect(stdout).toContain(`write into the site file: images.training: ${tag}`);
    expect(stderr).toContain("docker: Cannot connect to the daemon");
    expect(stderr).toContain("building training (cuda) with buildah (1 of 1)");
    expect(stderr).toContain("Step 1/9 : FROM base");
    const call = builders.calls.find((one) => one.startsWith("buildah build"));
    const { version, revision } = readSource(projectRoot);
    for (const part of [
      `--tag localhost/swe-rl/training:${version}-cuda --tag ${tag}`,
      `--build-arg VERSION=${version} --build-arg REVISION=${revision}`,
      "--build-arg VARIANT=cuda",
    ]) {
      expect(call).toContain(part);
    }
  });

  it("builds all of them, with the user's arguments for the builder", () => {
    using builders = new Builders().add("docker", works);
    const { status, stdout } = builders.run(
      ...["build", "all", "--variant", "cpu", "--", "--network", "host"],
    );
    expect(status).toBe(0);
    const calls = builders.calls.filter((one) => one.startsWith("docker build"));
    expect(calls).toHaveLength(imageNames.length);
    for (const call of calls) expect(call).toContain(" --network host ");
    expect(stdout).toContain("write into the experiment: harbor_agent.runtime_image: localhost/");
    expect(stdout).toContain("npm run image -- push training --variant cpu --tag HOST/PATH:TAG");
  });

  it("ends with 1 where the builder fails, and leaves no temporary folder", () => {
    using builders = new Builders().add(
      "docker",
      '[ "$1" != build ] || { echo "no space left"; exit 5; }',
    );
    using temporary = new Folder();
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = temporary.path;
    const { status, stdout, stderr } = builders.run("build", "opencode");
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("no space left");
    expect(stderr).toContain(
      "docker could not build opencode (exit code 5), so that there is no image",
    );
    expect(readdirSync(temporary.path)).toEqual([]);
  });

  it("ends with 3 where no builder works", () => {
    using builders = new Builders();
    const { status, stderr } = builders.run("build", "training");
    expect(status).toBe(3);
    expect(stderr).toContain("podman: is not on the PATH");
    expect(stderr).toContain("No builder works here (docker, buildah, podman)");
  });

  it("takes no other builder than the one that is asked for", () => {
    using builders = new Builders().add("docker", works);
    expect(builders.run("build", "training", "--builder", "podman").status).toBe(3);
  });
});

describe("npm run image -- push", () => {
  const tag = "registry.example/rl/training:1";

  it.each(["docker", "buildah"])(
    "by %s ends with the digest to write into the site file",
    (builder) => {
      using builders = new Builders().add(builder, works);
      const { status, stdout, stderr } = builders.run("push", "training", "--tag", tag);
      expect([status, stderr]).toEqual([0, expect.stringContaining(`as ${tag} with ${builder}`)]);
      expect(stdout).toContain(`images.training: ${tag}@${digest}`);
      const { version } = readSource(projectRoot);
      expect(builders.calls).toContain(
        `${builder} tag localhost/swe-rl/training:${version}-cuda ${tag}`,
      );
    },
  );

  it("says how to log in where the registry refuses", () => {
    using builders = new Builders().add("docker", '[ "$1" != push ] || { echo denied; exit 1; }');
    const { status, stderr } = builders.run("push", "training", "--tag", tag);
    expect([status, stderr]).toEqual([1, expect.stringContaining("docker login registry.example")]);
  });

  it("says what to build where there is no image", () => {
    using builders = new Builders().add("docker", '[ "$1" != image ] || exit 1');
    const { status, stderr } = builders.run("push", "training", "--variant", "cpu", "--tag", tag);
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining(
        "Run: npm run image -- build training --variant cpu --builder docker",
      ),
    ]);
  });
});

describe("npm run image -- check", () => {
  const check = ["check", "a:1", "--stack", "single-node-stock"];

  it("runs the check of the Plan in a container, and passes on what it finds", () => {
    using builders = new Builders().add("docker", '[ "$1" != run ] || echo "check: fine" >&2');
    const { status, stdout, stderr } = builders.run(...check, "--variant", "cpu");
    expect([status, stderr]).toEqual([0, expect.stringContaining("check: fine")]);
    expect(stdout).toContain("a:1 can run what stack single-node-stock starts in it");
    expect(builders.calls.at(-1)).toMatch(
      /^docker run --rm --network none --env LITELLM_LOCAL_MODEL_COST_MAP=True --entrypoint python3 a:1 -m swe_rl_training.check --ray \S+ --verl \S+ --only --image-only --rehearsal -- python3 -m verl/,
    );
  });

  it.each([
    [3, "a:1 cannot run what stack single-node-stock starts in it"],
    [125, "docker could not run the check in a:1 (exit code 125)"],
  ])("ends with 1 where the container ends with %i", (code, text) => {
    using builders = new Builders().add("docker", `[ "$1" != run ] || exit ${code}`);
    const { status, stderr } = builders.run(...check);
    expect([status, stderr]).toEqual([1, expect.stringContaining(text)]);
  });

  it("knows only our own images", () => {
    using builders = new Builders().add("docker", works);
    const { status, stderr } = builders.run("check", "a:1", "--stack", "single-node");
    expect([status, stderr]).toEqual([1, expect.stringContaining("verl.distribution: fork")]);
  });
});

describe("npm run image", () => {
  it.each([
    [[], "The subcommand is missing"],
    [["make"], "There is no subcommand make"],
    [["build"], "NAME is missing"],
    [
      ["build", "ray"],
      "There is no image ray: training, claude-code, opencode, openhands-sdk, all.",
    ],
    [["build", "all", "--tag", "a:1"], "all takes no --tag"],
    [["build", "training", "--variant", "rocm"], "--variant must be cuda or cpu, not rocm"],
    [["build", "training", "--builder", "kaniko"], "--builder must be docker or buildah or podman"],
    [["build", "opencode", "--variant", "cpu"], "opencode takes no --variant"],
    [["build", "training", "--stack", "s"], "build takes no --stack"],
    [["push", "training"], "--tag is missing"],
    [["push", "all", "--tag", "a:1"], "There is no image all"],
    [["push", "training", "--tag", "a:1", "--", "--quiet"], "push takes no arguments behind --"],
    [["check", "a:1"], "--stack is missing"],
    [["check", "a:1", "--stack", "single-node-stock", "--builder", "buildah"], "--builder must be"],
  ])("%j is wrong usage", (args, text) => {
    using builders = new Builders().add("docker", works);
    const { status, stderr } = builders.run(...args);
    expect([status, stderr]).toEqual([2, expect.stringContaining(text)]);
  });

  it("refuses a name that no registry takes", () => {
    using builders = new Builders().add("docker", works);
    const { status, stderr } = builders.run("build", "training", "--tag", "https://a/b");
    expect([status, stderr]).toEqual([1, expect.stringContaining("without https://")]);
  });

  it("explains itself", () => {
    using builders = new Builders();
    const { status, stdout } = builders.run("--help");
    expect([status, stdout]).toEqual([0, expect.stringContaining("Exit codes")]);
  });
});
