/** What `--help` prints. */

const general = `The embedded lab: a real Kubernetes control plane with simulated nodes or one real node, and a real Pulumi engine, on this machine only.

  npm start [-- STACK]       brings the lab up and provisions a stack on it (default: single-node)
  npm run lab -- up          brings the lab up, or repairs it
  npm run lab -- status      shows what runs, where the tools come from, what is simulated
  npm run lab -- env         prints exports that make your own pulumi and kubectl use the lab
  npm run lab -- down        ends the lab and removes its data
  npm run lab -- COMMAND --help

Environment
  SWE_RL_LAB      name of the lab; each name is a separate lab (default: default)
  SWE_RL_CACHE    directory of downloaded and built tools (default: $XDG_CACHE_HOME/swe-rl or ~/.cache/swe-rl)
`;

const commands = {
  start: `npm start [-- STACK]

Brings the lab up, then runs "pulumi up" for the stack (default: single-node). config/STACK.yaml has the settings of
the stack. The exit code is pulumi's.
`,
  up: `npm run lab -- up [--gpu-nodes N] [--node simulated|real]

Brings the lab up. Keeps running parts, restarts ended ones, and repairs interrupted starts. Uses tools on the PATH if
their versions fit; downloads the others from their vendors or, where that fails, builds them with Go, once per user.

  --gpu-nodes N   simulated nodes with 8 GPUs each, 1 to 500 (default: unchanged; 3 for a new lab)
  --node KIND     simulated: nodes on which no program runs; real: instead of them one node of this machine, on which pods
                  run and network policies hold (default: unchanged; simulated for a new lab)

A real node needs Linux, root, and Debian's or Ubuntu's packages: --node real installs those of iptables, ipset,
conntrack, iproute2 and openssl that are missing. Containers of the node are processes of this machine, in
namespaces without any other network. The node says that it has 192 CPUs, 2 TiB of memory and 8 GPUs; pods share what
the machine has.
`,
  down: `npm run lab -- down

Ends the lab's processes, Pulumi runs on the lab included, and no others. Removes the salts and secrets of its stacks
from stacks/, its data, and the state of its stacks. Keeps the tools in the cache.
`,
  status: `npm run lab -- status

Shows what runs, where the tools come from, and what is real and what is simulated.
Exit code: 0 if the lab is up, 3 if it is down, 4 if it is partly up.
`,
  env: `eval "$(npm run -s lab -- env)"
npm run -s lab -- env --json

Prints the variables that make pulumi and kubectl use the lab instead of your own backend and clusters: as lines for
a shell, or as a JSON object of strings. The lines also unset PULUMI_ACCESS_TOKEN, PULUMI_CONFIG_PASSPHRASE and
PULUMI_IGNORE_AMBIENT_PLUGINS, which would override them.
`,
} as const;

export type CommandName = keyof typeof commands;

export function helpFor(command: CommandName | undefined): string {
  return command === undefined ? general : commands[command];
}

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}

export const commandNames = Object.keys(commands);
