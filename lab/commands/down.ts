/** Ends a lab: ends its processes, cleans the stack files, removes its data. */
import { existsSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { withLock } from "../lock.ts";
import { endNode } from "../node/bring-up.ts";
import type { LabPaths } from "../paths.ts";
import { endProcesses, processesIn } from "../processes.ts";
import { cleanStackFiles } from "../pulumi/stack-files.ts";
import { stacksOf } from "../pulumi/state.ts";

/** @param tell Gets a line for each step. */
export async function down(paths: LabPaths, tell: (line: string) => void): Promise<void> {
  const onWait = (pid: number | undefined) => {
    tell(`waiting for another command on this lab${pid ? ` (process ${pid})` : ""}`);
  };
  await withLock(paths.lock, onWait, async () => {
    const running = await processesIn(paths.directory);
    if (running.length === 0 && !existsSync(paths.directory)) {
      tell(`lab ${paths.name} does not exist: nothing to do`);
      return;
    }
    await endNode(paths);
    await endProcesses(paths.directory, await processesIn(paths.directory), 2);
    tell(`${running.length} processes ended`);
    for (const { file, removed } of cleanStackFiles(paths)) {
      tell(
        removed
          ? `${file} removed: it contained only the lab's encryption salt and secrets`
          : `${file}: removed the lab's encryption salt and the secrets that it encrypts`,
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
    // The folder contains another lab.
  }
}
