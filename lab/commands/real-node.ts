/** The real node's part of `up`. */
import { openApi } from "../control-plane/bring-up.ts";
import { bringNodeUp, missingParts } from "../node/bring-up.ts";
import type { LabPaths } from "../paths.ts";
import type { Progress } from "../progress.ts";
import type { LabRecord } from "../record.ts";
import { Cache, cacheDirectory } from "../tools/cache.ts";

/** Brings the real node up beside the running control plane. */
export async function provideRealNode(
  paths: LabPaths,
  record: LabRecord,
  log: { readonly progress: Progress; readonly done: string[] },
): Promise<void> {
  const { progress, done } = log;
  const api = record.ports && openApi(paths, record.ports);
  if (!record.ports || !api) throw new Error("the control plane has no ports or certificates");
  const wish = {
    tools: record.nodeTools ?? [],
    apiPort: record.ports.apiServer,
    cache: new Cache(cacheDirectory()),
    progress,
  };
  try {
    const missing = await missingParts(paths, wish);
    const label = missing.length > 0 ? "real node: starting" : "real node";
    await progress.task(label, missing.length > 0 ? 20 : 2, async () => {
      const changes = await bringNodeUp(paths, api, wish);
      done.push(...changes);
      return { result: undefined, summary: changes.join(", ") };
    });
  } finally {
    api.close();
  }
}
