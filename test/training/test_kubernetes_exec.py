"""Commands in a sandbox on an API server of our own that really runs them."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster_sandboxes import Make, do, one, only, started
from fake_cluster import FakeCluster, Refusal, ends, runs
from swe_rl_training.kubernetes_sandbox import (
    ExecConnectionLost,
    ExecFailed,
    SandboxGone,
    connection,
    output,
)
from swe_rl_training.kubernetes_sandbox.scripts import shell_script
from swe_rl_training.kubernetes_sandbox.settings import KubernetesSettings

pytest_plugins = ("cluster_fixtures",)
pytestmark = pytest.mark.usefixtures("private_network")


class TestExec:
    def test_returns_what_a_command_says(self, make: Make) -> None:
        async def work() -> Any:
            environment = await started(make)
            return await environment.exec("echo out; echo err >&2; exit 3")

        result = do(work())
        assert (result.stdout, result.stderr, result.return_code) == ("out\n", "err\n", 3)

    def test_says_nothing_as_none(self, make: Make) -> None:
        result = do(one(make, "true"))
        assert (result.stdout, result.stderr, result.return_code) == (None, None, 0)

    @pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
    def test_works_by_either_protocol(
        self, make: Make, cluster: FakeCluster, protocol: str
    ) -> None:
        cluster.protocols = (protocol,)
        assert do(one(make, "cat; echo $BASH_VERSION | cut -c 1-2")).stdout == "5.\n"

    @pytest.mark.parametrize("shell", ["bash", "dash"])
    def test_sets_directory_and_variables(
        self, make: Make, cluster: FakeCluster, tmp_path: Path, shell: str
    ) -> None:
        cluster.path = only(tmp_path / "bin", sh=shell, env="env", pwd="pwd")
        (cluster.root / "a b").mkdir()
        value = "it's $HOME\n\"quoted\" `x` \\ ü"
        task = {"workdir": str(cluster.root / "a b"), "env": {"ONE": "1", "TWO": "task"}}
        command = 'printf %s "$ONE$TWO$THREE"; pwd >&2'

        async def work() -> Any:
            environment = await started(make, task=task)
            with environment.scoped_exec_env({"THREE": value}):
                return await environment.exec(command, env={"TWO": "2", "THREE": "3"})

        result = do(work())
        assert (result.stdout, result.stderr) == (f"12{value}", f"{cluster.root}/a b\n")

    def test_of_a_missing_directory_fails(self, make: Make) -> None:
        result = do(one(make, "touch ran", cwd="/nowhere/at all"))
        assert result.return_code == 126 and "/nowhere/at all" in result.stderr

    def test_keeps_keys_out_of_addresses_and_arguments(
        self, make: Make, cluster: FakeCluster
    ) -> None:
        command = "tr '\\0' ' ' < /proc/$$/cmdline; ps -eo args; echo $KEY"
        result = do(one(make, command, env={"KEY": "sk-trial.mac"}))
        assert result.stdout.count("sk-trial.mac") == 1
        assert not any("sk-trial" in request for request in cluster.requests)

    def test_takes_a_long_command(self, make: Make) -> None:
        text = "x" * 100_000
        result = do(one(make, f"echo {text} | wc -c", env={"OTHER": text}))
        assert result.stdout.strip() == "100001"

    @pytest.mark.parametrize("name", ["A-B", "A=B", "", "1A", "A\nB"])
    def test_refuses_odd_variables(self, name: str) -> None:
        with pytest.raises(ValueError, match="name of a variable"):
            shell_script("true", env={name: "x"})

    def test_refuses_nul(self) -> None:
        with pytest.raises(ValueError, match="NUL"):
            shell_script("echo \0")

    def test_streams_lines(self, make: Make) -> None:
        heard: list[tuple[float, str, str]] = []

        async def listen(text: str, stream: str) -> None:
            heard.append((time.monotonic(), stream, text))

        async def work() -> Any:
            environment = await started(make)
            with environment.scoped_output_callback(listen):
                return await environment.exec(
                    "printf 'a\\r\\303'; sleep 0.4; printf '\\274\\nb\\n' ; echo e >&2; printf end"
                )

        result = do(work())
        assert [text for _, stream, text in heard if stream == "stdout"] == ["a\rü\n", "b\n", "end"]
        assert [text for _, stream, text in heard if stream == "stderr"] == ["e\n"]
        assert result.stdout == "a\rü\nb\nend"

    def test_takes_output_that_is_no_text(self, make: Make) -> None:
        assert do(one(make, "printf 'a\\377b\\000c'")).stdout == "a\ufffdb\0c"

    def test_keeps_only_so_much_output(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(output, "MOST_OUTPUT_BYTES", 1000)
        result = do(one(make, "head -c 2000000 /dev/zero | tr '\\0' x; exit 4"))
        assert result.stdout == "x" * 1000 + "\n[1999000 further bytes are left out]\n"
        assert result.return_code == 4

    def test_runs_many_at_once_without_threads(
        self, make: Make, settings: KubernetesSettings, cluster: FakeCluster
    ) -> None:
        narrow = replace(settings, parallel_calls=3)

        async def work() -> float:
            environment = await started(make, settings=narrow)
            cluster.most_busy = 0
            cluster.answer_seconds = 0.02
            begun = time.monotonic()
            results = await asyncio.gather(
                *(environment.exec(f"sleep 1; echo {number}") for number in range(40))
            )
            assert [result.stdout for result in results] == [f"{n}\n" for n in range(40)]
            return time.monotonic() - begun

        assert do(work()) < 15
        assert cluster.most_busy <= 3

    def test_keeps_a_silent_connection_alive(
        self, make: Make, settings: KubernetesSettings, cluster: FakeCluster
    ) -> None:
        cluster.idle_seconds = 0.6
        result = do(one(make, "sleep 2; echo done", settings=replace(settings, ping_seconds=0.1)))
        assert result.stdout == "done\n" and cluster.pings >= 5

    def test_notices_a_dead_connection(
        self, make: Make, settings: KubernetesSettings, cluster: FakeCluster
    ) -> None:
        cluster.is_deaf = True
        quick = replace(settings, ping_seconds=0.1, silence_seconds=0.5)
        with pytest.raises(ExecConnectionLost, match="said nothing"):
            do(one(make, "sleep 5", settings=quick))

    def test_says_that_the_connection_broke(self, make: Make, cluster: FakeCluster) -> None:
        async def work() -> int:
            environment = await started(make)
            cluster.cut_after = 100
            with pytest.raises(ExecConnectionLost, match=environment.pod_name):
                await environment.exec("echo $$ > pid; head -c 1000 /dev/zero; sleep 60")
            await environment._settle_kills()
            return pid_in(cluster)

        assert ends(do(work()))

    def test_says_why_the_pod_is_gone(self, make: Make, cluster: FakeCluster) -> None:
        over = {"reason": "OOMKilled", "exitCode": 137}

        async def work() -> None:
            environment = await started(make)
            cluster.statuses = [
                {
                    "phase": "Failed",
                    "containerStatuses": [{"name": "main", "state": {"terminated": over}}],
                }
            ]
            cluster.cut_after = 100
            with pytest.raises(SandboxGone, match="OOMKilled") as raised:
                await environment.exec("head -c 1000 /dev/zero; sleep 1")
            assert type(raised.value) is SandboxGone
            refusal = Refusal(500, 'unable to upgrade connection: container not found ("main")')
            cluster.refusals["exec"] = [refusal] * 5
            with pytest.raises(SandboxGone, match="OOMKilled"):
                await environment.exec("true")
            cluster.pods.clear()
            with pytest.raises(SandboxGone, match="does not exist"):
                await environment.exec("true")
            with pytest.raises(SandboxGone, match="does not exist"):
                await environment.upload_dir(cluster.root, "/x")

        do(work())

    def test_ends_although_the_server_does_not_close(
        self, make: Make, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "CLOSING_SECONDS", 0.3)
        cluster.is_slow_to_close = True
        assert do(one(make, "echo x; exit 5")).return_code == 5

    def test_needs_a_shell(self, make: Make, cluster: FakeCluster, tmp_path: Path) -> None:
        async def work() -> None:
            environment = await started(make)
            cluster.path = str(tmp_path / "nothing")
            await environment.exec("true")

        with pytest.raises(ExecFailed, match="No such file"):
            do(work())

    def test_out_of_time_is_killed_with_its_children(
        self, make: Make, cluster: FakeCluster
    ) -> None:
        async def work() -> list[int]:
            environment = await started(make)
            begun = time.monotonic()
            with pytest.raises(RuntimeError, match="Command timed out after 1 seconds"):
                await environment.exec(
                    "trap '' TERM; echo $$ > pid; sleep 60 & echo $! >> pid; wait; sleep 60",
                    timeout_sec=1,
                )
            assert time.monotonic() - begun < 10
            return [int(line) for line in (cluster.root / "pid").read_text().split()]

        pids = do(work())
        assert len(pids) == 2 and all(ends(pid) for pid in pids)

    def test_that_is_cancelled_lets_go_at_once_and_is_killed(
        self, make: Make, cluster: FakeCluster
    ) -> None:
        async def work() -> int:
            environment = await started(make)
            running = asyncio.ensure_future(environment.exec("echo $$ > pid; sleep 60"))
            while not (cluster.root / "pid").exists() or not (cluster.root / "pid").read_text():
                await asyncio.sleep(0.02)
            begun = time.monotonic()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert time.monotonic() - begun < 0.2
            # The next command does not run beside it.
            result = await environment.exec("kill -0 $(cat pid) 2>/dev/null && echo alive")
            assert result.stdout is None
            return pid_in(cluster)

        assert ends(do(work()))
        assert cluster.open_execs == 0

    def test_that_is_cancelled_while_it_is_opened_leaves_no_socket(
        self, make: Make, cluster: FakeCluster
    ) -> None:
        async def work() -> None:
            environment = await started(make)
            cluster.answer_seconds = 0.3
            opening = asyncio.ensure_future(environment.exec("sleep 60"))
            await asyncio.sleep(0.1)
            opening.cancel()
            await asyncio.wait([opening])
            await asyncio.sleep(1)

        do(work())
        assert cluster.open_execs == 0

    @pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
    @pytest.mark.parametrize("without", ["", "setpriv"])
    def test_becomes_another_user(
        self, make: Make, cluster: FakeCluster, public_folder: Path, without: str
    ) -> None:
        programs = {"sh": "dash", "bash": "bash", "su": "su", "id": "id", "setpriv": "setpriv"}
        programs.pop(without, None)
        cluster.path = only(public_folder / "bin", **programs)
        command = "id -un; echo $HOME; echo \"$KEY\"; exit 6"
        found = do(one(make, command, user="daemon", env={"KEY": "a 'b'"}, cwd="/"))
        assert (found.stdout, found.return_code) == ("daemon\n/usr/sbin\na 'b'\n", 6)
        assert do(one(make, "id -u", user="no such user")).return_code == 126
        nameless = do(one(make, "id -u; id -g", user=54321, cwd="/"))
        if without:
            assert nameless.return_code == 126 and "setpriv" in nameless.stderr
        else:
            assert nameless.stdout == "54321\n0\n"
        assert do(one(make, "id -u", user="root")).stdout == "0\n"

    @pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
    @pytest.mark.parametrize("without", ["", "setpriv"])
    def test_of_another_user_is_killed_too(
        self, make: Make, cluster: FakeCluster, public_folder: Path, without: str
    ) -> None:
        programs = {name: name for name in ("sh", "bash", "su", "sleep", "setpriv")}
        programs.pop(without, None)
        cluster.path = only(public_folder / "bin", **programs)
        heard: list[str] = []

        async def listen(text: str, stream: str) -> None:
            heard.append(text)

        async def work() -> None:
            environment = await started(make)
            with (
                environment.scoped_output_callback(listen),
                pytest.raises(RuntimeError, match="timed out"),
            ):
                command = "trap '' TERM; echo $$; sleep 60; sleep 60"
                await environment.exec(command, user="daemon", cwd="/", timeout_sec=1)

        do(work())
        assert len(heard) == 1 and ends(int(heard[0]), 3)


def pid_in(cluster: FakeCluster) -> int:
    return int((cluster.root / "pid").read_text())
