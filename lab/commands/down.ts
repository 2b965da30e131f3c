/** Ends a lab: its processes, what it left in the stacks' files, its data. */
import { existsSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { withLock } from "../lock.ts";
import type { LabPaths } from "../paths.ts";
import { endProcesses, processesIn } from "../processes.ts";
import { cleanStackFiles } from "../pulumi/stack-files.ts";
import { stacksOf } from "../pulumi/state.ts";

/** @param tell Is given a line for everything that was done. */
export async function down(paths: LabPaths, tell: (line: string) => void): Promise<void> {
  const onWait = (pid: number | undefined) => {
    tell(`waiting for another command on this lab${pid ? ` (process ${pid})` : ""}`);
  };
  await withLock(paths.lock, onWait, async () => {
    const running = await processesIn(paths.directory);
    if (running.length === 0 && !existsSync(paths.directory)) {
      tell(`lab ${paths.name} is not there: nothing to do`);
      return;
    }
    await endProcesses(paths.directory, running, 2);
    tell(`${running.length} processes ended`);
    for (const { file, removed } of cleanStackFiles(paths)) {
      tell(
        removed
          ? `${file} removed: it held nothing but the lab's encryption salt`
          : `${file}: the lab's encryption salt and the secrets under it removed`,
      );
    }
    const stacks = stacksOf(paths);
    rmSync(paths.directory, { recursive: true, force: true, maxRetries: 3 });
    const lost = stacks.length > 0 ? `, and with it the stacks ${stacks.join(", ")}` : "";
    tell(`lab ${paths.name} removed${lost}`);
  });
  removeIfEmpty(dirname(paths.directory));
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Another lab is in it.
  }
}
