"""Runs a command with credentials from files in its environment.

    with_secrets.py DIRECTORY -- COMMAND [ARGUMENT...]

Each file of the directory is a variable: its name the file's, its value the file's content. A
container's own environment is shown by `docker inspect`, its files are not. A folder `bin` beside
this program comes first in the search path. Standard library only.

Exit code: the command's, which takes this program's place; 2 if a file or the command is missing.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path


BAD_INPUT = 2
"""Exit code: a file or the command is missing."""


def read(directory: Path) -> dict[str, str]:
    if not directory.is_dir():
        return {}
    files = sorted(path for path in directory.iterdir() if path.is_file())
    for path in files:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", path.name):
            raise ValueError(f"{path} is not the name of a variable")
    return {path.name: path.read_text() for path in files}


def main(arguments: list[str]) -> int:
    if len(arguments) < 3 or arguments[1] != "--":
        print("usage: with_secrets.py DIRECTORY -- COMMAND [ARGUMENT...]", file=sys.stderr)
        return BAD_INPUT
    directory, command = Path(arguments[0]), arguments[2:]
    programs = Path(__file__).resolve().parent / "bin"
    try:
        if programs.is_dir():
            os.environ["PATH"] = f"{programs}:{os.environ.get('PATH', os.defpath)}"
        os.execvpe(command[0], command, {**os.environ, **read(directory)})
    except (OSError, ValueError) as error:
        print(f"with_secrets: {error}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
