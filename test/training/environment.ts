/**
 * What the tests of the training package need: the real verl, Harbor and torch in one virtual environment, and the agents'
 * programs as `images/agents` makes them. Made once, in the per-user cache, from locked requirements.
 */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { madeOnce, pythonEnvironment, PythonProblem, run, say } from "../runtime/environment.ts";

export interface TrainingEnvironment {
  /** Interpreter of the virtual environment. */
  readonly python: string;
  /** What pytest needs to find the rest; to be added to its environment. */
  readonly variables: Readonly<Record<string, string>>;
}

/** Harbor 0.25 needs it at least, verl 0.9.1 at most. */
const release = "3.12";

const agents = join(import.meta.dirname, "../../images/agents");
const requirements = join(import.meta.dirname, "requirements.txt");

/**
 * The environment, made first if it is not there yet (about a minute and 7 GB; needs a package index and npm).
 * @throws {PythonProblem} If there is no Python 3.12, or the packages cannot be installed.
 */
export async function trainingEnvironment(): Promise<TrainingEnvironment> {
  const runtime = await pythonEnvironment();
  const uv = join(dirname(runtime.python), "uv");
  const base = await findPython(uv);
  const directory = await madeOnce("training", keyOf(base, [requirements]), (draft) =>
    install(draft, uv, base),
  );
  const python = join(directory, "venv/bin/python");
  const variables = {
    ...runtime.variables,
    // Otherwise LiteLLM first asks the internet for prices, and the tests' network has none.
    LITELLM_LOCAL_MODEL_COST_MAP: "True",
    // Ray's workers would wait for every other suite.
    RAY_worker_niceness: "0",
    SWE_RL_RUNTIME_PYTHON: runtime.python,
    SWE_RL_CLAUDE_CODE: await npmAgent("claude-code", "@anthropic-ai/claude-code-linux-x64"),
    SWE_RL_OPENCODE: await npmAgent("opencode", "opencode-linux-x64"),
    SWE_RL_OPENHANDS_SDK: await relocatedAgent("openhands-sdk", { uv, base }),
  };
  return { python, variables };
}

/** One on PATH, or of pyenv, whose commands on PATH only run the version that is chosen; else uv gets one. */
async function findPython(uv: string): Promise<string> {
  const root = await run("pyenv", ["root"], { quiet: true }).catch(() => undefined);
  const versions = root === undefined ? "" : join(root.trim(), "versions");
  const installed = existsSync(versions) ? readdirSync(versions) : [];
  const ofPyenv = installed
    .filter((version) => version.startsWith(`${release}.`))
    .map((version) => join(versions, version, "bin", `python${release}`));
  for (const candidate of [`python${release}`, ...ofPyenv]) {
    const program = ["-c", "import sys; print(sys.executable)"];
    const path = await run(candidate, program, { quiet: true }).catch(() => undefined);
    if (path !== undefined) return path.trim();
  }
  try {
    say(`there is no Python ${release}; getting one by uv …`);
    await run(uv, ["python", "install", "--quiet", release]);
    return (await run(uv, ["python", "find", "--no-project", release], { quiet: true })).trim();
  } catch {
    throw new PythonProblem(
      `The tests of the training package need Python ${release}, as Harbor and verl together do. Install it and put it on PATH.`,
    );
  }
}

async function install(draft: string, uv: string, base: string): Promise<void> {
  say("making the Python environment of the training tests (once, about 6 GB)");
  const venv = join(draft, "venv");
  await run(uv, ["venv", "--quiet", "--relocatable", "--python", base, venv]);
  say("installing verl, Harbor, torch and what they need …");
  const python = join(venv, "bin/python");
  const options = ["--quiet", "--link-mode", "copy", "--python", python, "--require-hashes"];
  await run(uv, ["pip", "install", ...options, "--requirement", requirements]);
}

/** The folder of an agent's npm package. */
async function npmAgent(agent: string, name: string): Promise<string> {
  const source = join(agents, agent);
  const files = ["package.json", "package-lock.json"];
  const key = `${agent}-${keyOf(
    "",
    files.map((file) => join(source, file)),
  )}`;
  const directory = await madeOnce("agents", key, async (draft) => {
    say(`installing ${agent} …`);
    for (const file of files) copyFileSync(join(source, file), join(draft, file));
    await run("npm", ["ci", "--silent", "--ignore-scripts"], { cwd: draft });
  });
  return join(directory, "node_modules", name);
}

/** An agent's Python that runs where it is mounted. */
async function relocatedAgent(
  agent: string,
  { uv, base }: { uv: string; base: string },
): Promise<string> {
  const source = join(agents, agent);
  const recipe = ["relocate.py", "requirements.txt", "build.txt"].map((file) => join(source, file));
  const directory = await madeOnce("agents", `${agent}-${keyOf(base, recipe)}`, async (draft) => {
    say(`making the runtime of ${agent}, about 40 s …`);
    const venv = join(draft, "build");
    mkdirSync(venv);
    await run(uv, ["venv", "--quiet", "--seed", "--allow-existing", "--python", base, venv]);
    const python = join(venv, "bin/python");
    const [program = "", locked = "", build = ""] = recipe;
    const options = ["--quiet", "--python", python, "--require-hashes", "--requirement", build];
    await run(uv, ["pip", "install", ...options]);
    const path = `${join(venv, "bin")}:${process.env["PATH"] ?? ""}`;
    await run(python, [program, join(draft, "venv"), locked], { path });
    rmSync(venv, { recursive: true });
  });
  return join(directory, "venv");
}

/** Changes with everything that the result depends on. */
function keyOf(base: string, files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file));
  hash.update(JSON.stringify([base, process.platform, process.arch]));
  return hash.digest("hex").slice(0, 12);
}
