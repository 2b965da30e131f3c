/** Provides the tools of a catalogue: from the machine, the cache, a download, or a build. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { LabError } from "../problem.ts";
import { run } from "../run.ts";
import type { Cache, Contents, Entry } from "./cache.ts";
import { catalogue } from "./catalogue.ts";
import { download, hostsOf } from "./download.ts";
import { buildKey, buildWithGo, demandGo, estimateSeconds } from "./go.ts";
import { askVersion, findOnMachine } from "./machine.ts";
import { DownloadFailed, type Network } from "./network.ts";
import type { Download, GoBuild, ObtainedTool, Platform, Tool } from "./tool.ts";
import { formatSeconds, type Progress } from "../progress.ts";

export interface Workshop {
  readonly cache: Cache;
  readonly network: Network;
  readonly platform: Platform;
  readonly progress: Progress;
  /** The project's directory, which contains the stand-ins. */
  readonly root: string;
}

/** @throws {LabError} If every way to a tool fails. */
export async function obtainTools(
  shop: Workshop,
  tools: readonly Tool[] = catalogue,
): Promise<ObtainedTool[]> {
  const obtained: ObtainedTool[] = [];
  const missing: Tool[] = [];
  for (const tool of tools) {
    const found = await findOnMachine(tool, obtained);
    if (!("tool" in found) && found.reason !== undefined) {
      shop.progress.line(`${tool.name}: ${found.reason}`);
    }
    const isOpen = missing.some(({ name }) => name === hostOf(tool));
    const ready = "tool" in found ? found.tool : isOpen ? undefined : fromCache(tool, shop);
    if (ready) obtained.push(ready);
    else missing.push(tool);
  }
  if (missing.length > 0) await prepare(missing, shop);
  for (const [i, tool] of missing.entries()) {
    // The other tool may have brought this one meanwhile.
    const found = tool.find.on === "beside" ? await findOnMachine(tool, obtained) : undefined;
    const ready = found && "tool" in found ? found.tool : fromCache(tool, shop);
    obtained.push(ready ?? (await obtain(tool, `[${i + 1}/${missing.length}]`, shop)));
  }
  return tools.flatMap(({ name }) => obtained.filter((tool) => tool.name === name));
}

/** Finds the hosts that answer, and announces builds and their expected time. */
async function prepare(missing: readonly Tool[], shop: Workshop): Promise<void> {
  const { network, platform, progress } = shop;
  const downloads = missing.flatMap((tool) => tool.download?.(platform) ?? []);
  await network.probe(downloads.flatMap(hostsOf));
  if (network.silentHosts.length > 0) {
    progress.line(`no answer from ${network.silentHosts.join(", ")}`);
  }
  const mustBuild = (tool: Tool): boolean => {
    const host = missing.find(({ name }) => name === hostOf(tool));
    if (host) return mustBuild(host);
    return tool.build !== undefined && !canDownload(tool.download?.(platform), network);
  };
  const builds = missing.filter(mustBuild);
  if (builds.length === 0) return;
  await demandGo(builds.map(({ name }) => name));
  const seconds = builds.reduce((sum, { build }) => sum + (build ? estimateSeconds(build) : 0), 0);
  progress.line(
    `${builds.length} tools must be built with Go, once per user: about ${formatSeconds(seconds)} on this machine, less with a warm Go build cache`,
  );
}

/** The tool that includes this one. */
function hostOf({ find }: Tool): string | undefined {
  return find.on === "beside" ? find.tool : undefined;
}

function canDownload(wanted: Download | undefined, network: Network): boolean {
  return wanted !== undefined && !hostsOf(wanted).some((url) => network.isSilent(url));
}

async function obtain(tool: Tool, counter: string, shop: Workshop): Promise<ObtainedTool> {
  const failures: string[] = [];
  const wanted = tool.download?.(shop.platform);
  if (wanted) {
    try {
      return await obtainDownload(tool, wanted, { ...shop, counter });
    } catch (error) {
      if (!(error instanceof DownloadFailed)) throw error;
      failures.push(error.message);
      if (canDownload(wanted, shop.network)) shop.progress.line(`${counter} ${error.message}`);
    }
  }
  if (tool.build) return await obtainBuild(tool, tool.build, { ...shop, counter });
  if (tool.standIn) {
    const path = join(shop.root, tool.standIn.program);
    shop.progress.line(
      `${counter} ${tool.name}: the official plugin cannot be downloaded (${failures.join("; ")}); the lab uses its stand-in instead: ${tool.standIn.limits}`,
    );
    const { name, standIn } = tool;
    return { name, version: "stand-in", source: "stand-in", path, origin: standIn.program };
  }
  throw new LabError(
    `${tool.name} is not on this machine and cannot be downloaded: ${failures.join("; ")}. Install it, or give this machine access to the vendor's site, and run the same command again.`,
  );
}

type Job = Workshop & { readonly counter: string };

async function obtainDownload(tool: Tool, wanted: Download, job: Job): Promise<ObtainedTool> {
  if (!canDownload(wanted, job.network)) {
    const silent = hostsOf(wanted).filter((url) => job.network.isSilent(url));
    const hosts = new Set(silent.map((url) => new URL(url).host));
    throw new DownloadFailed(`no answer from ${[...hosts].join(", ")}`);
  }
  const key = downloadKey(tool.name, wanted, job.platform);
  return await makeEntry(tool, job, {
    key,
    version: wanted.version,
    words: ["downloading", "downloaded"],
    estimate: undefined,
    fill: async (directory) => {
      const contents = await download(tool.name, wanted, { directory, network: job.network });
      await tryOut(tool, join(directory, tool.name));
      return contents;
    },
  });
}

async function obtainBuild(tool: Tool, build: GoBuild, job: Job): Promise<ObtainedTool> {
  await demandGo([tool.name]);
  const key = buildKey(tool.name, build, job.platform);
  return await makeEntry(tool, job, {
    key,
    version: build.version,
    words: ["building", "built"],
    estimate: estimateSeconds(build),
    fill: (directory) => buildWithGo(tool.name, build, { directory, log: job.cache.log(key) }),
  });
}

interface Recipe {
  readonly key: string;
  readonly version: string;
  readonly words: readonly [doing: string, done: string];
  /** Expected seconds, if known. */
  readonly estimate: number | undefined;
  readonly fill: (directory: string) => Promise<Contents>;
}

/** Makes the cache entry of a tool, and shows progress. */
async function makeEntry(tool: Tool, job: Job, recipe: Recipe): Promise<ObtainedTool> {
  const { key, version, estimate, fill } = recipe;
  const [doing, done] = recipe.words;
  const label = `${job.counter} ${tool.name} ${version}`;
  const onWait = (pid: number | undefined) => {
    job.progress.line(
      `${label}: waiting for another process${pid === undefined ? "" : ` (${pid})`}`,
    );
  };
  const entry = await job.progress.task(`${label}: ${doing}`, estimate, async () => ({
    result: await job.cache.make(key, onWait, fill),
    summary: `${label}: ${done}`,
  }));
  return toTool(tool, entry);
}

/** Rejects a download that does not run on this machine, for example because of another C library. */
async function tryOut({ name, find }: Tool, path: string): Promise<void> {
  if (find.on === "path") {
    if ((await askVersion(path, find.versionArgs)) !== undefined) return;
    throw new DownloadFailed(`the downloaded ${name} does not run on this machine`);
  }
  const { code } = await run(path, ["-h"], { signal: AbortSignal.timeout(20_000) }).catch(() => ({
    code: null,
  }));
  if (code === null || code > 2) {
    throw new DownloadFailed(`the downloaded ${name} does not run on this machine`);
  }
}

function fromCache(tool: Tool, { cache, platform }: Workshop): ObtainedTool | undefined {
  const wanted = tool.download?.(platform);
  const keys = [
    ...(wanted ? [downloadKey(tool.name, wanted, platform)] : []),
    ...(tool.build ? [buildKey(tool.name, tool.build, platform)] : []),
  ];
  const entry = keys.map((key) => cache.entry(key)).find((made) => made !== undefined);
  return entry && toTool(tool, entry);
}

function toTool({ name }: Tool, { directory, version, source, origin }: Entry): ObtainedTool {
  return { name, version, source, origin, path: join(directory, name) };
}

function downloadKey(name: string, wanted: Download, { os, arch }: Platform): string {
  const hash = createHash("sha256").update(JSON.stringify(wanted)).digest("hex").slice(0, 12);
  return `${name}-${wanted.version}-${os}-${arch}-download-${hash}`;
}
