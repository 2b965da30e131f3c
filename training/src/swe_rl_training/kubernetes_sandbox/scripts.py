"""What shells do in a sandbox: our own scripts, and how a command is handed to one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

PID = re.compile(rb"swe-rl-pid=(\d+)\n")

ENTER = 'echo "swe-rl-pid=$$" >&2; exec sh'
"""Says which process it is, and then does what comes by its input."""

KILL = """
groups="$1 $(cat "/proc/$1/task/$1/children" 2>/dev/null)"
all() {
  for group in $groups; do
    kill "$1" "-$group" 2>/dev/null || kill "$1" "$group" 2>/dev/null || :
  done
}
any() {
  for group in $groups; do
    ! kill -0 "-$group" 2>/dev/null || return 0
  done
  return 1
}
all -TERM
turn=0
while [ "$turn" -lt 30 ] && any; do
  sleep 0.1 2>/dev/null || sleep 1
  turn=$((turn + 1))
done
all -KILL
"""
"""Ends a command, which container runtimes make the leader of a group. `su` makes a further one."""

UPLOAD_FILE = """
set -e
target=$1
if [ -d "$target" ] || [ "${target%/}" != "$target" ]; then target=${target%/}/$2; fi
parent=${target%/*}
[ "$parent" = "$target" ] || mkdir -p "${parent:-/}"
head -c "$3" > "$target"
chmod "$4" "$target"
"""

UPLOAD_DIR = """
set -e
command -v tar >/dev/null || { echo 'there is no tar in this image' >&2; exit 127; }
mkdir -p "$1"
head -c "$2" | tar -xpf - -C "$1"
"""
"""`head` ends the archive: version 4 of the protocol cannot say that the input is over."""

DOWNLOAD_FILE = """
[ ! -d "$1" ] || { echo "$1 is a directory" >&2; exit 1; }
exec cat "$1"
"""

DOWNLOAD_DIR = """
command -v tar >/dev/null || { echo 'there is no tar in this image' >&2; exit 127; }
cd "$1" && exec tar -cf - .
"""

AS_USER = """
while IFS=: read -r name _ uid gid _ home _; do
  [ "$name" != "$user" ] && [ "$uid" != "$user" ] || break
  name=
done </etc/passwd
if [ -n "$name" ]; then
  export HOME="$home"
  groups=--init-groups
else
  case $user in *[!0-9]*) echo "this image has no user $user" >&2; exit 126;; esac
  uid=$user gid=0 groups=--clear-groups
fi
case $(setpriv --help 2>&1) in
  *--reuid*) exec setpriv --reuid "$uid" --regid "$gid" "$groups" "$shell" -c "$text" </dev/null;;
esac
[ -n "$name" ] || { echo "becoming user $user needs setpriv of util-linux" >&2; exit 126; }
exec su -p -s /bin/sh -c "exec $shell -c $quoted" "$name" </dev/null
"""
"""Pods have one user, so another one is become: as `docker exec --user` does, HOME included."""

SLEEP = "trap 'exit 0' TERM; while :; do sleep 2147483647 & wait $!; [ $? -ne 127 ] || exit 1; done"
"""Waits, and buries orphans. An agent that kills every `sleep` does not end its own sandbox."""


def shell_script(
    command: str,
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    user: str | int | None = None,
) -> bytes:
    """What a shell must read to run the command, with bash where the image has it.

    It goes by the shell's input. Its variables hold keys: as arguments they would be in `ps`, in
    the pod's specification for all who may read pods, and in a request's address in audit logs.
    Exported by the shell itself, only the same user and root can see them.
    """
    for text in (command, cwd or "", *(env or {}).values()):
        if "\0" in text:
            raise ValueError("a command, its directory and its variables must not hold NUL")
    lines = []
    for name, value in (env or {}).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name!r} is no name of a variable that a shell could export")
        lines.append(f"export {name}={shlex.quote(value)}")
    if cwd:
        lines.append(f"cd {shlex.quote(cwd)} || exit 126")
    lines.append("shell=sh; ! command -v bash >/dev/null 2>&1 || shell=bash")
    if user is None or str(user) in ("root", "0"):
        lines.append(f'exec "$shell" -c {shlex.quote(command)} </dev/null')
    else:
        quoted = shlex.quote(command)
        lines += [
            f"user={shlex.quote(str(user))} text={quoted} quoted={shlex.quote(quoted)}",
            AS_USER,
        ]
    return ("\n".join(lines) + "\n").encode(errors="surrogateescape")
