import { join } from "node:path";
import { Cache, cacheDirectory } from "../../lab/tools/cache.ts";
import { buildKey, buildWithGo, demandGo } from "../../lab/tools/go.ts";
import { type GoBuild, platformOf } from "../../lab/tools/tool.ts";

/** Path of a program that only tests need, built first if it is not in the cache. */
export async function obtainProgram(name: string, build: GoBuild): Promise<string> {
  await demandGo([name]);
  const cache = new Cache(cacheDirectory());
  const key = buildKey(name, build, platformOf());
  const { directory } = await cache.make(
    key,
    () => undefined,
    (folder) => buildWithGo(name, build, { directory: folder, log: cache.log(key) }),
  );
  return join(directory, name);
}
