"""Downloads what requirements.txt names and cuts it into pieces that travel to a machine without a network.

    python3 pack.py [--folder .gpu] [--piece-mib 56]

Makes in the folder, beside the downloaded wheels:
    pieces/<n>/piece  bytes of all wheels, one after another, cut into pieces
    pieces/<n>/manifest.json  names, sizes and SHA-256 of the wheels and of the pieces

Every piece's folder has the manifest, so each can travel alone; unpack.py puts them together. Needs pip and
the package index. Releases that exist as source only become wheels here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"

PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(39, 4, -1)] + [
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
    "linux_x86_64",
]
"""glibc 2.39 and older; pip takes each name literally."""


@dataclass(frozen=True)
class Content:
    name: str
    size: int
    """Bytes."""
    sha256: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="pack.py", description="Packs wheels for a machine without a network.")
    parser.add_argument("--folder", type=Path, default=Path(".gpu"), help="where git ignores it; default .gpu")
    parser.add_argument("--piece-mib", type=int, default=56, help="largest piece, in MiB; default 56")
    options = parser.parse_args()
    wheels = options.folder / "wheels"
    download(wheels)
    pieces = options.folder / "pieces"
    shutil.rmtree(pieces, ignore_errors=True)
    count = cut(sorted(wheels.glob("*.whl")), pieces, options.piece_mib * 2**20)
    total = sum(wheel.stat().st_size for wheel in wheels.glob("*.whl"))
    print(f"{pieces}: {total / 2**20:.0f} MiB in {count} pieces, so {count} calls")


def download(wheels: Path) -> None:
    """Fills the folder with exactly the wheels of requirements.txt. pip checks their hashes."""
    wheels.mkdir(parents=True, exist_ok=True)
    fresh = wheels.with_name("wheels.new")
    shutil.rmtree(fresh, ignore_errors=True)
    pip(
        *("download", "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)),
        *("--dest", str(fresh), "--find-links", str(wheels)),
        *("--python-version", "3.12", "--implementation", "cp"),
        *(part for abi in ("cp312", "abi3", "none") for part in ("--abi", abi)),
        *(part for platform in PLATFORMS for part in ("--platform", platform)),
    )
    for source in fresh.glob("*.tar.gz"):
        pip("wheel", "--no-deps", "--wheel-dir", str(fresh), str(source))
        source.unlink()
    shutil.rmtree(wheels)
    fresh.rename(wheels)


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def cut(wheels: list[Path], pieces: Path, most: int) -> int:
    """Writes the pieces, of at most so many bytes each; how many there are."""
    digests: list[Content] = []
    contents: list[Content] = []
    piece = bytearray()

    def write() -> None:
        folder = pieces / str(len(digests))
        folder.mkdir(parents=True)
        (folder / "piece").write_bytes(piece)
        digests.append(Content(str(len(digests)), len(piece), hashlib.sha256(piece).hexdigest()))
        piece.clear()

    for wheel in wheels:
        data = wheel.read_bytes()
        contents.append(Content(wheel.name, len(data), hashlib.sha256(data).hexdigest()))
        rest = memoryview(data)
        while rest:
            taken = rest[: most - len(piece)]
            piece += taken
            rest = rest[len(taken) :]
            if len(piece) == most:
                write()
    if piece:
        write()
    manifest = {
        "wheels": [asdict(content) for content in contents],
        "pieces": [asdict(digest) for digest in digests],
    }
    for digest in digests:
        (pieces / digest.name / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return len(digests)


if __name__ == "__main__":
    main()
