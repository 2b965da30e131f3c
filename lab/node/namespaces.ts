/** The namespaces of the node, and programs in them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { lastLines, writeWhole } from "../files.ts";
import { pause } from "../interrupt.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { type Finished, run, startService } from "../run.ts";
import { which } from "../tools/machine.ts";
import { apiAddress, nodeAddress, nodeFiles } from "./layout.ts";
import { namespaceOptions } from "./machine.ts";
import { nodeLog } from "./parts.ts";

/**
 * Settings that kubelet demands and that would be the whole machine's. Inside the namespace files with these values lie
 * over them, so that kubelet finds what it wants and changes nothing.
 */
const kernel: Readonly<Record<string, string>> = {
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/keys/root_maxbytes": "25000000",
};

/** Nothing written to /run and /var reaches the machine's own. */
const setUp = `set -eu
directory=$1 inside=$2
mount --make-rshared /
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p "$inside" /run/containerd /run/swe-rl-lab
mount --bind "$directory" "$inside"
mount --bind "$inside/volumes" /run/swe-rl-lab
mount -t overlay overlay -o "lowerdir=/var,upperdir=$inside/var,workdir=$inside/var-work" /var
cd "$inside/kernel"
find . -type f | while read -r file; do
  test ! -e "/proc/sys/$file" || mount --bind "$file" "/proc/sys/$file"
done
echo 1 > /proc/sys/net/ipv4/ip_forward
test ! -e /proc/sys/net/ipv6 || echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 > /dev/null
ip link set lo up
ip address add ${nodeAddress}/32 dev lo
ip address add ${apiAddress}/32 dev lo
echo "$3" > /proc/sys/kernel/hostname
`;

/**
 * Makes the namespaces, with a first process that does nothing but collect ended ones.
 * @param find Its process id, once it runs.
 */
export async function makeNamespaces(
  paths: LabPaths,
  find: () => Promise<number | undefined>,
): Promise<number> {
  const files = nodeFiles(paths);
  for (const folder of ["volumes", "var", "var-work", "kernel"]) {
    mkdirSync(join(files.directory, folder), { recursive: true });
  }
  for (const [name, value] of Object.entries(kernel)) {
    writeWhole(join(files.directory, "kernel", name), `${value}\n`);
  }
  const log = nodeLog(paths, "namespaces");
  startService(
    join(paths.bin, "unshare"),
    [...namespaceOptions, join(paths.bin, "catatonit"), "-P"],
    { cwd: "/", env: process.env, log },
  );
  let pid: number | undefined;
  for (let i = 0; i < 100 && pid === undefined; i++) {
    await pause(50);
    pid = await find();
  }
  if (pid === undefined) {
    throw new LabError(`The node's namespaces could not be made:\n${lastLines(log, 5)}`);
  }
  const { code, stderr } = await runInside(pid, [
    ...["sh", "-c", setUp, "sh", files.directory, files.inside],
    files.id,
  ]);
  if (code === 0) return pid;
  throw new LabError(`The node's namespaces could not be set up: ${stderr.trim()}`);
}

/** Runs a program in the namespaces to its end. */
export async function runInside(pid: number, command: readonly string[]): Promise<Finished> {
  return await run(...enter(pid, command), { cwd: "/" });
}

/** Starts a program in the namespaces that goes on, and belongs to their first process. */
export async function startInside(
  pid: number,
  command: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly log: string },
): Promise<void> {
  const [nsenter, args] = enter(pid, ["setsid", "--fork", ...command]);
  const { code } = await run(nsenter, args, { cwd: "/", ...options });
  if (code === 0) return;
  throw new LabError(
    `${command.join(" ")} could not be started in the node's namespaces:\n${lastLines(options.log, 5)}`,
  );
}

/** A command line that runs another one in the namespaces. */
export function enter(pid: number, command: readonly string[]): [nsenter: string, args: string[]] {
  const kinds = ["--mount", "--net", "--pid", "--ipc", "--uts"];
  return [which("nsenter") ?? "nsenter", ["--target", String(pid), ...kinds, "--", ...command]];
}
