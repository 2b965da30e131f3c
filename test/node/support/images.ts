/**
 * The images of a rehearsal, made of packages from registries: what `images/` would build, where no builder and no base
 * image is at hand. Their Python is this machine's, their packages are those of the tests' environments.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { provideImages, type Wanted } from "../../../lab/node/base-images.ts";
import { obtainRoot } from "../../../lab/node/debian.ts";
import type { Part } from "../../../lab/node/image.ts";
import { nodeFiles } from "../../../lab/node/layout.ts";
import type { LabPaths } from "../../../lab/paths.ts";
import { Progress } from "../../../lab/progress.ts";
import { run } from "../../../lab/run.ts";
import { Cache, cacheDirectory } from "../../../lab/tools/cache.ts";
import { projectRoot } from "../../support/settings.ts";
import { pythonEnvironment } from "../../runtime/environment.ts";
import { trainingEnvironment } from "../../training/environment.ts";

/** What this file puts where is part of every image. */
const recipe = createHash("sha256").update(readFileSync(import.meta.filename));
recipe.update(digestOf(join(projectRoot, "training/src")));

/** The training image's tag changes with our package, as a running pod keeps the image that it has. */
export const images = {
  training: `swe-rl.invalid/training:${recipe.digest("hex").slice(0, 12)}`,
  litellm: "swe-rl.invalid/litellm:lab",
  claudeCode: "swe-rl.invalid/claude-code:lab",
  opencode: "swe-rl.invalid/opencode:lab",
  gate: "swe-rl.invalid/python:lab",
  /** Which our tasks name. */
  tasks: "docker.io/library/python:3.12.12-slim-bookworm",
} as const;

/** As much as the base image of `images/training` has, and Debian's own Python for the tasks' tests. */
const packages = [
  ...["bash", "ca-certificates", "coreutils", "dash", "diffutils", "findutils", "grep", "gzip"],
  ...["hostname", "libgomp1", "libstdc++6", "mawk", "procps", "python3", "sed", "tar"],
];

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const runtimes = "opt/custom-agent-runtime";

/**
 * Loads the images that the node does not have.
 * @param pid First process of the node's namespaces.
 */
export async function provideChainImages(paths: LabPaths, pid: number): Promise<void> {
  const from = { cache: new Cache(cacheDirectory()), progress: new Progress(process.stderr) };
  const debian = await obtainRoot({ name: "task-image", packages, closed: true }, from);
  const base = join(debian.directory, "root");
  const runtime = await pythonEnvironment();
  const training = await trainingEnvironment();
  const scratch = mkdtempSync(join(nodeFiles(paths).directory, "chain-"));
  const system: readonly Part[] = [{ folder: base }, { folder: madeBySetup(scratch, base) }];
  const agent = (name: string, program: string, file: string): Wanted => ({
    name,
    source: file,
    make: () => {
      const folder = mkdtempSync(join(scratch, "agent-"));
      mkdirSync(join(folder, "bin"));
      cpSync(file, join(folder, "bin", program));
      return {
        name,
        parts: [{ folder, at: `${runtimes}/${program === "claude" ? "claude-code" : program}` }],
        config: {},
      };
    },
  });
  const wanted: readonly Wanted[] = [
    {
      name: images.tasks,
      source: debian.directory,
      make: () => ({
        name: images.tasks,
        parts: system,
        config: { Env: [`PATH=${path}`], Cmd: ["bash"], WorkingDir: "/srv" },
      }),
    },
    {
      name: images.litellm,
      source: runtime.python,
      make: async () => ({
        name: images.litellm,
        parts: [
          ...system,
          ...(await pythonParts(runtime.python, scratch)),
          { folder: scriptFolder(scratch, "litellm", litellm), at: "usr/local/bin" },
        ],
        config: { Env: [`PATH=${path}`], Entrypoint: ["litellm"] },
      }),
    },
    {
      name: images.training,
      source: training.python,
      make: async () => ({
        name: images.training,
        parts: [
          ...system,
          ...(await pythonParts(training.python, scratch)),
          { folder: ourPackage(scratch) },
        ],
        config: { Env: [`PATH=${path}`], Cmd: ["python3"], WorkingDir: "/workspace" },
      }),
    },
    agent(
      images.claudeCode,
      "claude",
      join(training.variables["SWE_RL_CLAUDE_CODE"] ?? "", "claude"),
    ),
    agent(
      images.opencode,
      "opencode",
      join(training.variables["SWE_RL_OPENCODE"] ?? "", "bin/opencode"),
    ),
  ];
  const keyed = wanted.map((one) => ({ ...one, source: `${one.source} ${images.training}` }));
  try {
    await provideImages(paths, pid, keyed);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What the packages' own scripts would have made. */
function madeBySetup(scratch: string, base: string): string {
  const layer = mkdtempSync(join(scratch, "system-"));
  const bin = lstatSync(join(base, "bin")).isDirectory() ? "bin" : "usr/bin";
  for (const folder of [
    bin,
    "etc/ssl/certs",
    "tmp",
    "root",
    "srv",
    "workspace",
    "var/tmp",
    "run",
  ]) {
    mkdirSync(join(layer, folder), { recursive: true });
  }
  for (const folder of ["tmp", "var/tmp"]) chmodSync(join(layer, folder), 0o1777);
  if (!existsSync(join(base, bin, "sh"))) symlinkSync("dash", join(layer, bin, "sh"));
  const users = [
    "root:x:0:0:root:/root:/bin/bash",
    "swe-rl:x:1000:1000::/workspace:/bin/bash",
    "nobody:x:65534:65534:nobody:/:/bin/sh",
  ];
  writeFileSync(join(layer, "etc/passwd"), `${users.join("\n")}\n`);
  writeFileSync(join(layer, "etc/group"), "root:x:0:\nswe-rl:x:1000:\nnogroup:x:65534:\n");
  return layer;
}

const litellm = `#!/usr/local/bin/python3
from litellm import run_server

run_server()
`;

function scriptFolder(scratch: string, name: string, text: string): string {
  const folder = mkdtempSync(join(scratch, "script-"));
  writeFileSync(join(folder, name), text, { mode: 0o755 });
  return folder;
}

/** An interpreter and the packages of a virtual environment, as one Python at /usr/local. */
async function pythonParts(python: string, scratch: string): Promise<readonly Part[]> {
  const program = `
import json, os, sys, sysconfig
library = sysconfig.get_config_var("LDLIBRARY") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None
print(json.dumps({
    "program": os.path.realpath(sys.executable),
    "standard": sysconfig.get_path("stdlib"),
    "packages": sysconfig.get_path("purelib"),
    "library": library and os.path.realpath(os.path.join(sysconfig.get_config_var("LIBDIR"), library)),
}))
`;
  const { stdout } = await run(python, ["-c", program]);
  const found = JSON.parse(stdout) as {
    program: string;
    standard: string;
    packages: string;
    library: string | null;
  };
  const name = found.standard.split("/").at(-1) ?? "";
  const folder = mkdtempSync(join(scratch, "python-"));
  const bin = join(folder, "usr/local/bin");
  const lib = join(folder, "usr/local/lib", name);
  const site = join(lib, "site-packages");
  mkdirSync(bin, { recursive: true });
  await link(found.standard, lib);
  // What else this machine's Python has is no part of the image.
  rmSync(site, { recursive: true, force: true });
  rmSync(join(lib, "test"), { recursive: true, force: true });
  await link(found.packages, site);
  await link(dirname(python), bin);
  for (const file of readdirSync(bin)) if (/^python[\d.]*$/.test(file)) rmSync(join(bin, file));
  cpSync(found.program, join(bin, name));
  for (const alias of ["python3", "python"]) symlinkSync(name, join(bin, alias));
  if (found.library !== null) {
    const to = join(folder, "usr/lib", `${machine}-linux-gnu`);
    mkdirSync(to, { recursive: true });
    cpSync(found.library, join(to, found.library.split("/").at(-1) ?? ""));
  }
  return [{ folder }];
}

const machine = process.arch === "arm64" ? "aarch64" : "x86_64";

async function link(from: string, to: string): Promise<void> {
  mkdirSync(to, { recursive: true });
  const { code, stderr } = await run("cp", ["--archive", "--link", `${from}/.`, to]);
  if (code !== 0) throw new Error(stderr);
}

/** As `images/training` installs it. */
function ourPackage(scratch: string): string {
  const folder = mkdtempSync(join(scratch, "package-"));
  const source = join(projectRoot, "training/src/swe_rl_training");
  const site = join(folder, "usr/local/lib/python3.12/site-packages/swe_rl_training");
  cpSync(source, site, { recursive: true, filter: (file) => !file.endsWith("__pycache__") });
  mkdirSync(join(folder, "opt/swe-rl-training"), { recursive: true });
  cpSync(join(source, "agent_loop.yaml"), join(folder, "opt/swe-rl-training/agent_loop.yaml"));
  return folder;
}

function digestOf(folder: string): string {
  const hash = createHash("sha256");
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    if (!/\.(py|yaml)$/.test(file)) continue;
    hash.update(file).update(readFileSync(join(folder, file)));
  }
  return hash.digest("hex").slice(0, 16);
}
