"""Harbor's environment on our clusters: one bare pod a trial (docs/sandboxes.md).

Harbor 0.25.0 has none that fits: its own want a cloud's command line, build images, or list and
watch pods. This one needs no more than the trainer's account may do: `pods: create, get, delete`
and `pods/exec: create, get`. What a pod does is learned by asking for it again.
"""

from .environment import KubernetesEnvironment
from .errors import ExecConnectionLost, ExecFailed, SandboxGone, SandboxStartTimeout

__all__ = [
    "ExecConnectionLost",
    "ExecFailed",
    "KubernetesEnvironment",
    "SandboxGone",
    "SandboxStartTimeout",
]
