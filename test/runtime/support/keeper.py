"""Runs a command for a test, and keeps everything that it starts together.

    keeper.py FILE COMMAND [ARGUMENT...]

Orphans, such as daemons, become children of this process. The command's exit code is written to
FILE; the keeper itself stays until the last descendant has ended. If the test process dies, all of
it is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

from processes import kill_descendants

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(file: str, command: list[str]) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGHUP, lambda *_: kill_descendants(os.getpid()))
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    child = subprocess.Popen(command)

    def forward(number: int, _: object) -> None:
        if child.poll() is None:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    code = child.wait()
    with open(f"{file}.draft", "w") as draft:
        draft.write(str(code if code >= 0 else 128 - code))
    os.rename(f"{file}.draft", file)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
