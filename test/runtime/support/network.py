"""A network namespace of this process's own, with nothing in it but loopback.

Ray listens on every address of a machine whatever it is told, so it must not run beside other
things; and what starts in here has shown that it starts without internet.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def enter_private_network() -> str | None:
    """Moves this process, and all that it will start, there. Returns why not, if it cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    try:
        if not libc.unshare(CLONE_NEWNET):
            pass
        elif not libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        else:
            error = os.strerror(ctypes.get_errno())
            return (
                f"this machine allows no network namespace, neither as root nor for users ({error})"
            )
        request = struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, SIOCSIFFLAGS, request)
    except (AttributeError, OSError) as error:
        return f"this machine allows no network namespace ({error})"
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
