"""The pod that Harbor's environment on Kubernetes asks for, and the tasks that may have one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from cluster_sandboxes import IMAGE, VARIABLES, Make, do, started
from fake_cluster import FakeCluster
from harbor.environments.base import SandboxBuildFailedError
from harbor.environments.factory import EnvironmentFactory
from harbor.models.task.config import EnvironmentConfig, NetworkMode, NetworkPolicy
from harbor.models.trial.paths import TrialPaths
from swe_rl_training.kubernetes_sandbox import KubernetesEnvironment
from swe_rl_training.kubernetes_sandbox.pod import pod_name
from swe_rl_training.kubernetes_sandbox.scripts import SLEEP

pytest_plugins = ("cluster_fixtures",)
pytestmark = pytest.mark.usefixtures("private_network")


class TestPod:
    def test_is_what_the_namespace_admits(self, make: Make, cluster: FakeCluster) -> None:
        do(started(make, persistent_env={"KEY": "sk-secret"}))
        [pod] = cluster.created
        assert pod["metadata"]["labels"] == {"harbor-run": "run-7"}
        spec = pod["spec"]
        assert spec["restartPolicy"] == "Never"
        assert spec["activeDeadlineSeconds"] == 3600
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["volumes"] == [
            {"name": "agent-runtime", "image": {"reference": "registry.example/agents@sha256:0"}}
        ]
        [container] = spec["containers"]
        assert (container["name"], container["image"]) == ("main", IMAGE)
        assert container["resources"] == {
            "requests": {"cpu": "1500m", "memory": "2048Mi", "ephemeral-storage": "10240Mi"},
            "limits": {"memory": str(3072 * 2**20), "ephemeral-storage": "10240Mi"},
        }
        assert container["securityContext"] == {"runAsUser": 0, "runAsGroup": 0}
        assert container["volumeMounts"] == [
            {
                "name": "agent-runtime",
                "mountPath": "/opt/agent",
                "readOnly": True,
                "subPath": "claude-code",
            }
        ]
        assert "nodeName" not in spec and "env" not in container
        assert "sk-secret" not in str(pod)

    def test_follows_harbors_resource_modes(self, make: Make, cluster: FakeCluster) -> None:
        modes = {"cpu_enforcement_policy": "limit", "memory_enforcement_policy": "guarantee"}
        task = {"memory_mb": 100, "storage_mb": 300}
        do(started(make, task=task, override_cpus=2, active_deadline_sec=60, **modes))
        [pod] = cluster.created
        assert pod["spec"]["activeDeadlineSeconds"] == 60
        assert pod["spec"]["containers"][0]["resources"] == {
            "requests": {"memory": "100Mi", "ephemeral-storage": "300Mi"},
            "limits": {"cpu": "2000m", "memory": str(100 * 2**20), "ephemeral-storage": "300Mi"},
        }

    @pytest.mark.parametrize("session", ["a__B.c__env", "_" * 90, "x" * 90, "Ünïcode"])
    @pytest.mark.parametrize("prefix", ["r", "r" * 32])
    def test_has_a_name_of_its_own(self, prefix: str, session: str) -> None:
        names = {pod_name(prefix, session) for _ in range(50)}
        assert len(names) == 50
        for name in names:
            assert name.startswith(f"{prefix}-") and len(name) <= 63
            assert name == name.lower().strip("-") and name.replace("-", "").isalnum()
            assert name.isascii()

    def test_sleeps_until_it_is_ended_even_if_its_sleep_is_killed(self) -> None:
        process = subprocess.Popen(["sh", "-c", SLEEP], start_new_session=True)
        try:
            for _ in range(2):
                time.sleep(0.3)
                subprocess.run(["pkill", "-P", str(process.pid), "sleep"], check=True)
            time.sleep(1.3)
            assert process.poll() is None
            process.terminate()
            assert process.wait(5) == 0
        finally:
            with_group = subprocess.run(["pkill", "-s", str(process.pid)], check=False)
            assert with_group.returncode in (0, 1)


class TestDefinition:
    def test_must_name_an_image(self, make: Make) -> None:
        with pytest.raises(SandboxBuildFailedError, match="docker_image"):
            make(task={"docker_image": None})

    def test_must_be_one_container(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "environment").mkdir()
        (tmp_path / "environment/docker-compose.yaml").touch()
        with pytest.raises(SandboxBuildFailedError, match="one container"):
            make()

    def test_may_ask_for_no_network_and_for_no_gpu(self, make: Make) -> None:
        make(network_policy=NetworkPolicy(network_mode=NetworkMode.NO_NETWORK))
        with pytest.raises(RuntimeError, match="GPU"):
            make(task={"gpus": 1})

    def test_cannot_mount_the_hosts_files(self, make: Make) -> None:
        with pytest.raises(ValueError, match="mount"):
            make(mounts=[{"type": "bind", "source": "/a", "target": "/b"}])

    def test_is_made_by_harbors_factory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, value)
        environment = EnvironmentFactory.create_environment_from_import_path(
            "swe_rl_training.kubernetes_sandbox:KubernetesEnvironment",
            environment_dir=tmp_path,
            environment_name="task",
            session_id="s",
            trial_paths=TrialPaths(tmp_path / "trial"),
            task_env_config=EnvironmentConfig(docker_image=IMAGE),
        )
        assert environment.type() == "kubernetes"

    def test_preflight_says_what_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit, match="no sandbox can be made"):
            KubernetesEnvironment.preflight()
