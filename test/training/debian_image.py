"""A task's image without a registry: Debian's packages that this machine has installed, as a root file system."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

PACKAGES = (
    "base-files", "bash", "coreutils", "dash", "diffutils", "findutils", "grep", "gzip", "hostname",
    "mawk", "procps", "python3", "sed", "tar",
)  # fmt: skip

MERGED = ("bin", "sbin", "lib", "lib64")
"""Links into /usr."""


def write_root_file_system(file: Path) -> None:
    """Writes a tar archive for `docker import`. Raises RuntimeError where packages are missing."""
    with tarfile.open(file, "w") as archive:
        for name in MERGED:
            _link(archive, name, f"usr/{name}")
        _link(archive, "usr/bin/sh", "dash")
        for directory in ("tmp", "srv", "root", "run", "var/tmp", "usr/local/bin"):
            entry = tarfile.TarInfo(directory)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if directory.endswith("tmp") else 0o755
            archive.addfile(entry)
        for path in sorted(_files()):
            archive.add(path, arcname=path[1:], recursive=False)
        text = b"root:x:0:0:root:/root:/bin/bash\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)


def _files() -> set[str]:
    """Where the packages' files really are: `/bin/sed` of a package is `/usr/bin/sed`."""
    listed = _dpkg("--listfiles", *sorted(_closure(PACKAGES))).splitlines()
    found = set()
    for path in listed:
        folder, name = os.path.split(path)
        real = os.path.join(os.path.realpath(folder), name)
        if os.path.lexists(real) and (os.path.islink(real) or os.path.isfile(real)):
            found.add(real)
    skipped = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info")
    return {
        path
        for path in found
        if not path.startswith(skipped) and path[1:] not in (*MERGED, "usr/bin/sh", "etc/passwd")
    }


def _closure(wanted: Iterable[str]) -> set[str]:
    """The packages and what they depend on, as installed."""
    template = "${db:Status-Status}\t${Package}\t${Pre-Depends}, ${Depends}\n"
    depends: dict[str, list[list[str]]] = {}
    for line in _dpkg("--show", f"--showformat={template}").splitlines():
        status, name, text = line.split("\t")
        if status == "installed":
            depends[name] = [
                [re.split(r"[ (:]", one.strip())[0] for one in either.split("|")]
                for either in text.split(",")
            ]
    missing = [name for name in wanted if name not in depends]
    if missing:
        raise RuntimeError(f"Debian's packages {', '.join(missing)} are not installed")
    seen: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            for either in depends[name]:
                todo += [one for one in either if one in depends][:1]
    return seen


def _dpkg(*arguments: str) -> str:
    done = subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True, check=True)
    return done.stdout
