"""Says what a training run will find on this machine: versions, memory, and what its kernel and driver allow.

    python3 machine.py

Each line is one fact; `no` is a reason to start run.py with another option (its --help says which). Needs torch.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib import metadata
from typing import Any

import torch
import torch.multiprocessing as multiprocessing
from torch.multiprocessing import reductions

PACKAGES = (
    *("torch", "triton", "numpy", "numba", "llvmlite", "pyarrow", "pandas", "protobuf", "grpcio", "aiohttp"),
    *("httpx", "peft", "accelerate", "huggingface_hub", "cupy-cuda13x", "setuptools", "opencv-python-headless"),
    *("scipy", "einops", "tensorboard", "uvloop", "prometheus-client", "typer", "rich", "pydantic", "tzdata"),
)


def main() -> None:
    print("python", platform.python_version(), sys.executable)
    print("kernel", platform.release(), "glibc", platform.libc_ver()[1])
    print("user", os.geteuid(), "cores", os.cpu_count(), *(f"{name} {gib(path)}" for name, path in PLACES.items()))
    print("packages", " ".join(f"{name}={release(name)}" for name in PACKAGES))
    print("programs", {name: shutil.which(name) for name in ("gcc", "unshare", "mount", "ip", "bash")})
    for name, check in CHECKS.items():
        try:
            print(name, check())
        except Exception:
            print(name, "no:", traceback.format_exc(limit=1).splitlines()[-1])


PLACES = {"/": "/", "/dev/shm": "/dev/shm", "/tmp": "/tmp"}


def gib(path: str) -> str:
    return f"{shutil.disk_usage(path).free / 2**30:.0f} GiB free"


def release(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def gpu() -> str:
    free, total = torch.cuda.mem_get_info()
    return f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"


def shares_memory() -> str:
    """Whether another process can open a tensor of this one by CUDA's interprocess handles."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_read, args=(theirs,))
    process.start()
    tensor = torch.full((4,), 7.0, device="cuda")
    ours.send(reductions.reduce_tensor(tensor))  # type: ignore[no-untyped-call]
    answer = ours.recv() if ours.poll(60) else "no answer"
    process.join(10)
    return str(answer)


def _read(pipe: Any) -> None:
    try:
        function, arguments = pipe.recv()
        pipe.send("yes" if function(*arguments).sum().item() == 28 else "no: other values")
    except Exception as error:
        pipe.send(f"no: {error}")


def namespaces() -> str:
    command = ["unshare", "--mount", "mount", "--bind", "/tmp", "/srv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "yes" if done.returncode == 0 else f"no: {done.stderr.strip()}"


def attention() -> str:
    """Forward and backward pass of PyTorch's attention with a mask, in bf16."""
    shape = (1, 8, 256, 64)
    query, key, value = (torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    mask = torch.ones(256, 256, device="cuda", dtype=torch.bool).tril()
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)
    [gradient] = torch.autograd.grad(output.sum(), query)
    return "yes" if gradient.isfinite().all() else "no"


CHECKS: dict[str, Callable[[], str]] = {
    "gpu": gpu,
    "attention": attention,
    "cuda-ipc": shares_memory,
    "mount-namespaces": namespaces,
}


if __name__ == "__main__":
    main()
