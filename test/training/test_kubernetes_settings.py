"""Settings of Harbor's environment on Kubernetes."""

from __future__ import annotations

import pytest
from cluster_sandboxes import VARIABLES
from fake_cluster import NAMESPACE
from swe_rl_training.kubernetes_sandbox.settings import AgentRuntime, KubernetesSettings
from swe_rl_training.settings import BadSetting


class TestSettings:
    def test_come_from_the_environment(self) -> None:
        assert KubernetesSettings.from_environment(VARIABLES) == KubernetesSettings(
            namespace=NAMESPACE,
            prefix="run-7",
            startup_seconds=600,
            deadline_seconds=3600,
            memory_limit_factor=1.5,
            runtime=AgentRuntime("registry.example/agents@sha256:0", "/opt/agent", "claude-code"),
        )

    def test_may_name_no_runtime_and_own_bounds(self) -> None:
        own = {"SWE_RL_KUBERNETES_CALLS": "7", "SWE_RL_SANDBOX_STORAGE_MB": "512"}
        variables = {**VARIABLES, "HARBOR_AGENT_RUNTIME_IMAGE": "", **own}
        found = KubernetesSettings.from_environment(variables)
        assert (found.runtime, found.parallel_calls, found.storage_mb) == (None, 7, 512)

    @pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", ""])
    def test_name_what_is_wrong(self, value: str) -> None:
        with pytest.raises(BadSetting, match="K8S_POD_STARTUP_TIMEOUT"):
            KubernetesSettings.from_environment({**VARIABLES, "K8S_POD_STARTUP_TIMEOUT": value})
