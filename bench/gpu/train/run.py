"""Trains on one machine without a network, as a stack would: Ray, trainer, and in mode litellm recorder and proxy.

    python3 run.py PLAN --kind dense --out FOLDER [--seconds 540] [--override KEY=VALUE …]

PLAN is a file of prepare.py. The packages of requirements.txt, this folder and training/src must be on PYTHONPATH; what
a run writes is in /models, /data and /workspace. Afterwards FOLDER has result.json and logs.tar.gz.

Exit codes: 0 trained; 1 the trainer failed or ran out of time; its last lines are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
MODEL, DATA, WORK = Path("/models/tiny"), Path("/data"), Path("/workspace")
RAY = WORK / "ray"
HOST = "127.0.0.1"
JOBS_PORT = 8265
LOG_BYTES = 100 * 2**20
"""Of all logs together, before they are compressed."""

END_LINES = 60

FOR_THIS_MACHINE = {
    # One machine, one interface that is always there.
    **dict.fromkeys(("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"), "lo"),
    "VLLM_HOST_IP": HOST,
    # FlashInfer is not carried.
    "VLLM_USE_FLASHINFER_SAMPLER": "0",
    "VLLM_USE_DEEP_GEMM": "0",
    # Nobody answers outside.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A virtual machine's memory may grow with its use; Ray would end workers by what is there at first.
    "RAY_memory_monitor_refresh_ms": "0",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py", description="Trains on one machine without a network.")
    parser.add_argument("plan", type=Path, help="file of prepare.py")
    parser.add_argument("--kind", default="dense", help="kind of model in shapes.json; default dense")
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="keep what an earlier run has left: its checkpoints, and with them its step",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=540, help="most time for all of it; default 540")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="further override of verl. Without CUDA's interprocess memory: "
        "actor_rollout_ref.model.external_lib=without_ipc. Without its virtual memory: "
        "++actor_rollout_ref.rollout.enable_sleep_mode=false and "
        "actor_rollout_ref.rollout.free_cache_engine=false",
    )
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    options.out.mkdir(parents=True, exist_ok=True)
    plan = json.loads(options.plan.read_text())
    run = Run(plan, options.out, [*plan["argv"], *options.override])
    try:
        if not options.go_on:
            run.prepare(options.kind)
        run.start()
        code = run.train(deadline)
    finally:
        run.end()
    result = run.result(code)
    (options.out / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps({key: value for key, value in result.items() if key != "trials"}, indent=1))
    return 0 if code == 0 else 1


class Run:
    def __init__(self, plan: dict[str, Any], out: Path, argv: list[str]) -> None:
        self._plan = plan
        self._out = out
        self._argv = argv
        self._begun = time.monotonic()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._memory: list[int] = []
        """MiB of the GPU that were in use, every two seconds."""
        self._times: dict[str, float] = {}
        self._key = f"sk-{secrets.token_hex(16)}"
        self._environment = {**os.environ, **plan["environment"], **FOR_THIS_MACHINE}
        self._environment["RAY_ADDRESS"] = f"{HOST}:{plan['environment']['RAY_PORT']}"
        if plan["litellm"]:
            self._environment["SWE_RL_PROXY_URL"] = f"http://{HOST}:{plan['environment']['LITELLM_PORT']}"
            self._environment["SWE_RL_PROXY_KEY"] = self._key

    def prepare(self, kind: str) -> None:
        """Model, index and configuration, where the Plan says that they are."""
        shutil.rmtree(WORK, ignore_errors=True)
        for folder in (MODEL, DATA, WORK):
            folder.mkdir(parents=True, exist_ok=True)
        self._call("model", sys.executable, str(HERE / "model.py"), str(MODEL), "--kind", kind)
        shutil.copy(HERE / "agent_loop.yaml", WORK)
        for split in ("train", "val"):
            tasks, index = str(PROJECT / "training/tasks"), str(DATA / f"{split}.parquet")
            module = ["-m", "swe_rl_training.index", tasks, "--output", index]
            self._call(f"index-{split}", sys.executable, *module, "--split", split, "--skip-images")

    def start(self) -> None:
        options = ["--head", "--disable-usage-stats", f"--node-ip-address={HOST}"]
        options += [f"--port={self._plan['environment']['RAY_PORT']}", f"--dashboard-host={HOST}"]
        options += [f"--dashboard-port={JOBS_PORT}", "--include-dashboard=true", "--object-store-memory=2000000000"]
        options += [f"--num-cpus={max(16, os.cpu_count() or 1)}", f"--temp-dir={RAY}", "--block"]
        ray = self._spawn("ray", {}, sys.executable, "-m", "ray.scripts.scripts", "start", *options, folder=WORK)
        while not answers(f"http://{HOST}:{JOBS_PORT}/api/version"):
            if ray.poll() is not None:
                raise ChildProcessError((WORK / "ray.log").read_text(errors="replace")[-3000:])
            time.sleep(0.5)
        self._times["ray"] = round(time.monotonic() - self._begun, 1)
        if self._plan["litellm"]:
            self._start_proxy()

    def _start_proxy(self) -> None:
        """LiteLLM at once, and the recorder as soon as the rollout servers are there."""
        programs = WORK / "programs"
        programs.mkdir(exist_ok=True)
        for source in PROJECT.glob("runtime/*/*.py"):
            shutil.copy(source, programs)
        recorder = self._plan["recorder"]
        text = json.dumps(self._plan["litellm"]).replace(recorder["url"], f"http://{HOST}:{recorder['port']}")
        (programs / "config.yaml").write_text(text)
        port = self._plan["environment"]["LITELLM_PORT"]
        start = ["-c", "from litellm import run_server; run_server()", "--config", str(programs / "config.yaml")]
        keys = {"LITELLM_MASTER_KEY": f"sk-{secrets.token_hex(16)}", "SANDBOX_API_KEY": self._key}
        self._spawn("litellm", keys, sys.executable, *start, "--host", HOST, "--port", port, folder=programs)
        variables = {
            "RAY_JOBS_URL": f"http://{HOST}:{JOBS_PORT}",
            "RAY_AUTH_TOKEN": "none",
            "RAY_NAMESPACE": self._plan["ray_namespace"],
            "ROLLOUT_SERVERS": "1",
            "LIST_PROGRAM": str(programs / "list_rollouts.py"),
            "ROLLOUT_TABLE": str(WORK / "rollouts.json"),
            "DISCOVERY_TIMEOUT_SECONDS": "600",
            "RECORDER_PORT": str(recorder["port"]),
            "TRAJECTORIES_DIRECTORY": self._plan["environment"]["HARBOR_TRIALS_DIR"],
            "MOST_CALL_TOKENS": str(recorder["callTokens"]),
        }
        python = shlex.quote(sys.executable)
        both = f"{python} discover_rollouts.py && exec {python} recorder.py"
        self._spawn("recorder", variables, "sh", "-c", both, folder=programs)

    def train(self, deadline: float) -> int:
        """The trainer's exit code; -1 past the deadline."""
        trainer = self._spawn("trainer", {}, *self._argv, folder=WORK)
        while trainer.poll() is None:
            self._memory.append(used_memory())
            if time.monotonic() > deadline - 30:
                self._dump()
                return -1
            time.sleep(2)
        self._times["trainer"] = round(time.monotonic() - self._begun, 1)
        return trainer.returncode

    def _call(self, name: str, *command: str) -> None:
        """Runs a step to its end, and notes when that was. Raises CalledProcessError."""
        with (WORK / "steps.log").open("ab") as log:
            done = subprocess.run(command, env=self._environment, stdout=log, stderr=log, check=False)
        self._times[name] = round(time.monotonic() - self._begun, 1)
        if done.returncode != 0:
            print((WORK / "steps.log").read_text(errors="replace")[-3000:])
            done.check_returncode()

    def _spawn(self, name: str, more: dict[str, str], *command: str, folder: Path) -> subprocess.Popen[bytes]:
        with (WORK / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**self._environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _dump(self) -> None:
        """What each Python process is doing, for a run that hangs."""
        with (WORK / "stacks.txt").open("wb") as file:
            for process in Path("/proc").glob("[0-9]*"):
                command = _command_of(process)
                if re.search(r"ray::|VLLM|main_ppo", command):
                    file.write(f"\n== {process.name} {command[:150]}\n".encode())
                    file.flush()
                    dump = ["py-spy", "dump", "--pid", process.name]
                    subprocess.run(dump, stdout=file, stderr=file, timeout=10, check=False)

    def end(self) -> None:
        # Ray comes first in the list and ends last: its start, which blocks, then ends all that it has started.
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        self._collect()

    def _collect(self) -> None:
        ray = RAY / "session_latest/logs"
        files = [*WORK.glob("*.log"), *WORK.glob("*.txt"), *WORK.rglob("sample.json")]
        files += [*sorted(ray.glob("worker-*")), *ray.glob("*.log"), *WORK.rglob("conversation.json")]
        size = 0
        with tarfile.open(self._out / "logs.tar.gz", "w:gz") as archive:
            for file in filter(Path.is_file, files):
                size += file.stat().st_size
                if size < LOG_BYTES:
                    archive.add(file, arcname=str(file).lstrip("/"))

    def result(self, code: int) -> dict[str, Any]:
        text = (WORK / "trainer.log").read_text(errors="replace")
        notes = [json.loads(file.read_text()) for file in sorted(WORK.rglob("sample.json"))]
        return {
            "exit_code": code,
            "seconds_until": self._times,
            "steps": steps_of(text),
            "checkpoints": sorted(str(path) for path in WORK.glob("checkpoints/*/*/global_step_*")),
            "most_gpu_mib": max(self._memory, default=0),
            "outcomes": Counter(str(note["drop"] or "trained") for note in notes),
            "rewards": Counter(str(note["reward"]) for note in notes),
            "trials": notes,
            "end": [line[:250] for line in text.splitlines()[-END_LINES:]] if code else [],
        }


SHOWN = re.compile(
    r"actor/(pg_loss|grad_norm|ppo_kl|entropy)|critic/(score|advantages)/(mean|max|min)"
    r"|(response_length|prompt_length|num_turns)/mean"
    r"|perf/(throughput|time_per_step|max_memory_allocated_gb)"
    r"|timing_s/(gen|old_log_prob|update_actor|update_weights|save_checkpoint|step)|training/rollout_\w+"
)


def steps_of(text: str) -> list[dict[str, float]]:
    """verl's console logger writes a line a step: `step:1 - name:value - …`."""
    steps = []
    for line in re.findall(r"step:\d+ - .*", text):
        pairs = (part.rpartition(":") for part in line.split(" - "))
        values = {name: value for name, _, value in pairs}
        steps.append(
            {
                name: float(re.sub(r"^np\.\w+\((.*)\)$", r"\1", value))
                for name, value in values.items()
                if name == "step" or SHOWN.fullmatch(name)
            }
        )
    return steps


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def used_memory() -> int:
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        return int(done.stdout.split()[0])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return 0


def _command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
