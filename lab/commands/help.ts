/** What `--help` prints. */

const general = `The embedded lab: a real Kubernetes control plane with simulated nodes, and a real Pulumi engine, on this machine alone.

  npm start [-- STACK]       brings the lab up and provisions a stack on it (default: single-node)
  npm run lab -- up          brings the lab up, or mends it
  npm run lab -- status      shows what runs, where it comes from, what is real
  npm run lab -- env         prints the exports with which your own pulumi and kubectl work with the lab
  npm run lab -- down        ends the lab and removes its data
  npm run lab -- COMMAND --help

Environment
  SWE_RL_LAB      name of the lab, so that there can be several (default: default)
  SWE_RL_CACHE    where downloaded and built tools are kept (default: $XDG_CACHE_HOME/swe-rl or ~/.cache/swe-rl)
`;

const commands = {
  start: `npm start [-- STACK]

Brings the lab up, then runs "pulumi up" of the stack on it (default: single-node). The settings of the stack are
those of config/STACK.yaml. The exit code is pulumi's.
`,
  up: `npm run lab -- up [--gpu-nodes N]

Brings the lab up. What runs already stays; what has ended, or was left half done, is mended. Tools are taken from
the PATH if they are new enough, else downloaded from their vendors, else built with Go, once per user.

  --gpu-nodes N   simulated nodes with 8 GPUs each, 1 to 500 (default: as many as the lab has, at first 3)
`,
  down: `npm run lab -- down

Ends the lab's processes, and only those (a Pulumi run that works with it is one of them), takes back what its
stacks left in stacks/, and removes its data, the state of its stacks included. Tools stay in the cache.
`,
  status: `npm run lab -- status

Shows what runs, where every tool came from, and what is real and what is simulated.
Exit code: 0 if the lab is up, 3 if it is down, 4 if it is partly up.
`,
  env: `eval "$(npm run -s lab -- env)"
npm run -s lab -- env --json

Prints the variables with which pulumi and kubectl work with the lab and with nothing of your own: as lines for a
shell, or as a JSON object of strings. The lines also unset PULUMI_ACCESS_TOKEN, PULUMI_CONFIG_PASSPHRASE and
PULUMI_IGNORE_AMBIENT_PLUGINS, which would interfere.
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
