"""What a sandbox raises besides Harbor's own SandboxBuildFailedError."""


class SandboxGone(RuntimeError):
    """The pod has ended or was deleted. The message says why, as far as Kubernetes tells."""


class ExecConnectionLost(SandboxGone):
    """The connection to a running command broke: what became of the command is unknown."""


class SandboxStartTimeout(RuntimeError):
    """The pod did not run in time. The message says what it waited for."""


class ExecFailed(RuntimeError):
    """The container runtime could not start the command."""
