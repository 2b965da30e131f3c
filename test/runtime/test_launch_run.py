"""The entry point of the run's Ray job: output, logs, signals, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import launch_run
import pytest
from support.processes import Tree, wait_until
from support.programs import RUNTIME


class Launched:
    """A run, its output and its logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "logs" / "run.log"
        self.vllm_log = directory / "logs" / "run_vllm.log"
        self._started: list[Tree] = []

    def start(self, *command: str, log: str | None = None, directory: str | None = None) -> Tree:
        tree = Tree(
            [
                *(sys.executable, "-S", "-B", RUNTIME / "launch_run.py"),
                *("--directory", directory or self.directory),
                *("--log", log or self.log, "--vllm-log", self.vllm_log, "--", *command),
            ],
            log=self.directory / f"errors-{len(self._started)}",
        )
        self._started.append(tree)
        return tree

    def run(
        self, *command: str, log: str | None = None, directory: str | None = None
    ) -> tuple[int, str]:
        """Exit code and standard output."""
        tree = self.start(*command, log=log, directory=directory)
        code = tree.wait(30)
        assert tree.errors == ""
        return code, tree.output

    def close(self) -> None:
        for tree in self._started:
            tree.kill()


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Launched]:
    launched = Launched(tmp_path)
    yield launched
    launched.close()


def python(program: str) -> tuple[str, ...]:
    return sys.executable, "-S", "-c", program


def test_output_goes_to_standard_output_and_to_the_log(launched: Launched) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); print('end')"
    assert launched.run(*python(program)) == (0, "out\nerr\nend\n")
    assert launched.log.read_text() == "out\nerr\nend\n"
    assert launched.vllm_log.read_text() == ""


def test_a_restarted_run_goes_on_in_the_same_log(launched: Launched) -> None:
    launched.run("echo", "first")
    launched.run("echo", "second, tokens/s")
    assert launched.log.read_text() == "first\nsecond, tokens/s\n"
    assert launched.vllm_log.read_text() == "second, tokens/s\n"


def test_lines_about_throughput_go_to_the_second_log(launched: Launched) -> None:
    lines = [
        "step:1 - critic/score/mean:0.5",
        "(vLLMHttpServer pid=17) INFO Started server process",
        "Avg prompt throughput: 10.0 tokens/s",
        "decode speed 12 token/s",
        "tokens per second",
    ]
    launched.run(*python(f"print({chr(10).join(lines)!r})"))
    assert launched.vllm_log.read_text().splitlines() == lines[1:4]


def test_arguments_environment_and_directory_arrive(launched: Launched) -> None:
    program = (
        "import os, sys;"
        "print(sys.argv[1:], os.getcwd(), os.environ['PYTHONUNBUFFERED'], sys.stdin.read())"
    )
    odd = ["--log=x", "--", "a b", "'\"$HOME`\\", "ä", ""]
    code, output = launched.run(*python(program), *odd)
    assert code == 0
    assert output == f"{odd} {launched.directory} 1 \n"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + 9),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 128 + 11),
    ],
)
def test_exit_code_is_passed_on(launched: Launched, program: str, code: int) -> None:
    assert launched.run(*python(program))[0] == code


def test_a_command_that_cannot_be_started(launched: Launched, tmp_path: Path) -> None:
    text = "cannot start /nowhere/python3"
    code, output = launched.run("/nowhere/python3")
    assert code == 127
    assert text in output
    assert text in launched.log.read_text()
    code, output = launched.run("/bin/true", directory="/nowhere")
    assert code == 127
    assert "in /nowhere" in output
    assert launched.run(str(tmp_path))[0] == 126


def test_output_arrives_while_the_command_runs(launched: Launched) -> None:
    run = launched.start(*python("import time; print('begun', end='', flush=True); time.sleep(60)"))
    wait_until(lambda: run.output == "begun", 20, "the first output")
    wait_until(lambda: launched.log.read_text() == "begun", 5, "the first output in the log")


def test_every_byte_arrives(launched: Launched) -> None:
    data = os.urandom(3 << 20)
    source = launched.directory / "bytes"
    source.write_bytes(data)
    tree = launched.start("cat", str(source))
    assert tree.wait(30) == 0
    assert launched.log.read_bytes() == data
    assert Path(f"{tree.log}.out").read_bytes() == data


@pytest.mark.parametrize("log", ["/dev/full", "/dev/null/run.log"])
def test_a_log_that_cannot_be_written_does_not_end_the_run(launched: Launched, log: str) -> None:
    program = "import time\nfor i in range(20): print('line', i); time.sleep(0.02)"
    code, output = launched.run(*python(program), log=log)
    assert code == 0
    warnings = [line for line in output.splitlines() if line.startswith("launch_run: ")]
    assert len(warnings) == 1
    assert f"cannot write {log}" in warnings[0]
    assert output.count("line ") == 20


def test_a_log_that_can_be_written_again_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch_run, "RETRY_SECONDS", 0.2)
    blocked = tmp_path / "logs"
    blocked.touch()
    log = launch_run.Log(str(blocked / "run.log"))
    log.write(b"lost\n")
    log.write(b"lost too\n")
    blocked.unlink()
    time.sleep(0.3)
    log.write(b"kept\n")
    log.write(b"kept too\n")
    expected = "\n[launch_run: 14 bytes are missing here]\nkept\nkept too\n"
    assert (blocked / "run.log").read_text() == expected
    assert capfd.readouterr().out.count("cannot write") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_command_and_its_children(launched: Launched, number: int) -> None:
    child = "import signal, sys, time; print('child', flush=True)\ntime.sleep(60)"
    program = (
        "import signal, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-S', '-c', {child!r}])\n"
        "def end(number, _):\n"
        "    print('saving', flush=True); child.wait(); print('child ended', child.returncode)\n"
        "    sys.exit(128 + number)\n"
        f"signal.signal({int(number)}, end)\n"
        "time.sleep(60)"
    )
    run = launched.start(*python(program))
    wait_until(lambda: "child\n" in run.output, 20, "the child")
    run.signal(number)
    assert run.wait(20) == 128 + number
    # Both write to one pipe, so the child's traceback may come between the word and its line's end.
    assert "saving" in run.output
    # Python ends by SIGINT with a traceback and by the signal itself.
    assert f"child ended {-number}\n" in run.output


def test_what_the_command_leaves_behind_does_not_hold_the_run(launched: Launched) -> None:
    begun = time.monotonic()
    code, output = launched.run("/bin/sh", "-c", "sleep 60 & echo done; exit 3")
    assert (code, output) == (3, "done\n")
    assert time.monotonic() - begun < 20


def test_usage_without_a_command() -> None:
    arguments = ["--directory", "/", "--log", "/a", "--vllm-log", "/b"]
    for rest in ([], ["--"]):
        with pytest.raises(SystemExit) as end:
            launch_run.main([*arguments, *rest])
        assert end.value.code == 2


def test_needs_nothing_but_the_standard_library() -> None:
    for program in ("discover_rollouts", "submit_run", "launch_run", "list_rollouts"):
        done = subprocess.run(
            [sys.executable, "-S", "-B", "-c", f"import {program}"], cwd=RUNTIME, timeout=30
        )
        assert done.returncode == 0
