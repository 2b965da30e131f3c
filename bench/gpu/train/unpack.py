"""Collects the pieces of pack.py on a machine without a network, and installs the wheels that they hold.

    python3 unpack.py STORE PIECE_FOLDER...                 keeps the pieces in STORE, outside the working tree
    python3 unpack.py STORE [PIECE_FOLDER...] --install TARGET   then also installs into the folder TARGET

Standard library only, and pip for the installation. TARGET belongs on PYTHONPATH, before the
machine's own packages, and TARGET/bin on PATH.

Exit codes: 0 kept, or installed; 1 a piece or a wheel is damaged, or pip failed; 3 --install, and pieces are missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Damaged(ValueError):
    """Content that has not the SHA-256 of the manifest. The message names it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="unpack.py", description="Collects and installs what pack.py has packed.")
    parser.add_argument("store", type=Path, help="folder that outlives a call")
    parser.add_argument("pieces", type=Path, nargs="*", help="folders with a piece and a manifest")
    parser.add_argument("--install", type=Path, metavar="TARGET", help="folder to install into")
    options = parser.parse_args()
    try:
        for folder in options.pieces:
            keep(folder, options.store)
        manifest = json.loads((options.store / "manifest.json").read_text())
        missing = missing_of(manifest, options.store)
        kept = len(manifest["pieces"]) - len(missing)
        print(f"unpack: {kept} of {len(manifest['pieces'])} pieces; missing: {' '.join(missing) or 'none'}")
        if options.install is None:
            return 0
        if missing:
            return 3
        install(join(manifest, options.store), options.install)
    except (Damaged, FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"unpack: {error}", file=sys.stderr)
        return 1
    return 0


def keep(folder: Path, store: Path) -> None:
    """Raises Damaged. A manifest of another packing empties the store."""
    text = (folder / "manifest.json").read_text()
    known = store / "manifest.json"
    if known.exists() and known.read_text() != text:
        shutil.rmtree(store)
    store.mkdir(parents=True, exist_ok=True)
    known.write_text(text)
    data = (folder / "piece").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    named = [piece for piece in json.loads(text)["pieces"] if piece["sha256"] == digest]
    if not named:
        raise Damaged(f"{folder}/piece is none of its manifest")
    (store / f"piece-{named[0]['name']}").write_bytes(data)


def missing_of(manifest: dict[str, Any], store: Path) -> list[str]:
    return [piece["name"] for piece in manifest["pieces"] if not (store / f"piece-{piece['name']}").exists()]


def join(manifest: dict[str, Any], store: Path) -> list[Path]:
    """The wheels, each checked. Raises Damaged."""
    wheels = store / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir()
    data = b"".join((store / f"piece-{piece['name']}").read_bytes() for piece in manifest["pieces"])
    rest = memoryview(data)
    for wheel in manifest["wheels"]:
        content, rest = rest[: wheel["size"]], rest[wheel["size"] :]
        if hashlib.sha256(content).hexdigest() != wheel["sha256"]:
            raise Damaged(f"{wheel['name']} has another SHA-256 than when it was packed")
        (wheels / wheel["name"]).write_bytes(content)
    return sorted(wheels.iterdir())


def install(wheels: list[Path], target: Path) -> None:
    """Raises CalledProcessError."""
    begun = time.monotonic()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    options = ["--no-index", "--no-deps", "--no-compile", "--upgrade", "--target", str(target)]
    subprocess.run([*pip, *options, *map(str, wheels)], check=True)
    # On all cores, what pip would do on one. Templates among the packages do not compile.
    compiler = [sys.executable, "-m", "compileall", "-q", "-j", "0", str(target)]
    subprocess.run(compiler, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"unpack: {len(wheels)} wheels in {target} after {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
