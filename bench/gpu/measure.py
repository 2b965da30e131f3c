"""Measures the GPU memory of one training step, as verl's FSDP engine makes it, with small models of random weights.

    python3 measure.py cases.json results.json    every case in processes of its own, one for each GPU

Needs torch 2.11 and transformers 5; for the hybrid families also fla-core, and for cases that offload activations verl's
verl/utils/activation_offload.py, named by --verl-offload. Nothing is downloaded: the models are made from the
configurations in cases.json.
"""

import argparse
import faulthandler
import gc
import json
import os
import socket
import subprocess
import sys
import time

import torch
import torch.distributed as dist
import transformers


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases")
    parser.add_argument("results")
    parser.add_argument("--case")
    parser.add_argument("--only", nargs="*", help="names of cases; default all")
    parser.add_argument("--gpus", type=int)
    parser.add_argument("--seconds", type=int, default=400, help="time limit of one case; fla's kernels are compiled first")
    parser.add_argument("--verl-offload", help="verl's activation_offload.py, for cases with offloaded activations")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu: only to try the program")
    arguments = parser.parse_args()
    cases = read_cases(arguments.cases)
    if arguments.case is None:
        sys.exit(run_all(cases, arguments))
    # Says where a process hangs before run_case ends it.
    faulthandler.dump_traceback_later(max(1, arguments.seconds - 3))
    case = next(case for case in cases if case["name"] == arguments.case)
    result = measure(case, arguments.device, arguments.verl_offload)
    if int(os.environ.get("RANK", "0")) == 0:
        with open(arguments.results, "w", encoding="utf-8") as file:
            json.dump(result, file)


def read_cases(path: str) -> list[dict]:
    """The cases, each with its model's configuration; `change` stands over the model's keys."""
    with open(path, encoding="utf-8") as file:
        written = json.load(file)
    models = written["models"]
    return [case | {"config": models[case["model"]] | case.get("change", {})} for case in written["cases"]]


def run_all(cases: list[dict], arguments: argparse.Namespace) -> int:
    """Runs each case in fresh processes, so that none inherits another's allocator or context."""
    gpus = arguments.gpus or (torch.cuda.device_count() if arguments.device == "cuda" else 1)
    results = []
    named = {case["name"]: case for case in cases}
    for case in [named[name] for name in arguments.only or named]:
        if gpus not in case.get("gpus", [1, 2]):
            continue
        partial = f"{arguments.results}.{case['name']}"
        began = time.monotonic()
        problem = run_case(case, partial, gpus, arguments)
        result = {"name": case["name"], "gpus": gpus, "error": problem}
        if problem is None:
            with open(partial, encoding="utf-8") as file:
                result |= json.load(file)
            os.remove(partial)
        results.append(result | {"seconds": round(time.monotonic() - began, 1)})
        print(json.dumps(results[-1]), flush=True)
        with open(arguments.results, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return 1 if any(result["error"] for result in results) else 0


def run_case(case: dict, result: str, gpus: int, arguments: argparse.Namespace) -> str | None:
    """Starts one process for each GPU; what went wrong, if anything did."""
    command = [sys.executable, os.path.abspath(__file__), arguments.cases, result, "--case", case["name"]]
    command += ["--device", arguments.device, "--seconds", str(arguments.seconds)]
    if arguments.verl_offload:
        command += ["--verl-offload", arguments.verl_offload]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(gpus)}
    if "allocator" in case:
        shared["PYTORCH_CUDA_ALLOC_CONF"] = case["allocator"]
    logs = [f"{result}.{rank}.log" for rank in range(gpus)]
    workers = []
    for rank, log in enumerate(logs):
        with open(log, "w", encoding="utf-8") as file:
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            workers.append(subprocess.Popen(command, env={**os.environ, **shared, **own}, stdout=file, stderr=file))
    deadline = time.monotonic() + arguments.seconds
    problems = []
    for worker, log in zip(workers, logs, strict=True):
        try:
            if worker.wait(timeout=max(1, deadline - time.monotonic())):
                problems.append(tail(log))
                deadline = time.monotonic() + 5
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
            problems.append(f"no result within {arguments.seconds} s\n{tail(log)}")
    return "\n".join(problems) or None


def tail(log: str) -> str:
    with open(log, encoding="utf-8") as file:
        return file.read()[-2500:]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def say(what: str) -> None:
    """Progress, with the seconds since the process began; of a case without result the tail is its error."""
    print(f"{time.monotonic() - began:7.1f} s  {what}", file=sys.stderr, flush=True)


began = time.monotonic()


def measure(case: dict, device: str, verl_offload: str | None) -> dict:
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        torch.cuda.set_device(local_rank)
    only_flash_attention()
    if "linear_num_value_heads" in case["config"]:
        require_fla()
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    torch.manual_seed(0)
    memory = Memory(device)
    model, parameters = build(case, device)
    if case.get("activations") == "offloaded":
        offload_activations(model, case, verl_offload)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, betas=(0.9, 0.999), weight_decay=0.01)
    gc.collect()
    memory.empty_cache()
    memory.mark("weights")
    say(f"built, {parameters / 1e9:.2f} billion parameters")
    for step in range(2):
        if case.get("offload") and step > 0:
            move(model, optimizer, "cpu", case)
            memory.empty_cache()
            memory.mark("offloaded")
            move(model, optimizer, device, case)
        memory.reset()
        # The second micro-batch finds the gradients of the first.
        for _ in range(2):
            train_micro_batch(model, case, device, memory)
        memory.mark("before step")
        clip(model, case)
        optimizer.step()
        memory.note_peak("step")
        optimizer.zero_grad()
        memory.mark("between steps")
    if case.get("offload"):
        move(model, optimizer, "cpu", case)
        memory.empty_cache()
        move(model, None, device, case)
    memory.reset()
    log_probabilities(model, case, device)
    memory.note_peak("log-probabilities")
    result = {"parameters": parameters, **memory.report(), "rank": rank, **versions(device)}
    dist.barrier()
    dist.destroy_process_group()
    return result


def build(case: dict, device: str):
    """The model in float32, sharded over all GPUs, computing in bfloat16: verl's defaults."""
    from torch.distributed.device_mesh import init_device_mesh
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = dict(case["config"])
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if case.get("checkpointing", True):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    mesh = init_device_mesh(device, (int(os.environ["WORLD_SIZE"]),), mesh_dim_names=("fsdp",))
    shard = shard_with_flat_parameters if case.get("strategy") == "fsdp" else shard_by_parameter
    return shard(model, mesh, device), parameters


def offload_activations(model, case: dict, verl_offload: str | None) -> None:
    """verl's `enable_activation_offload`, by its own code; of the rest of verl only what that code imports."""
    import importlib.util
    import types

    from torch.distributed.fsdp import FSDPModule

    for name, content in {
        "verl": {},
        "verl.utils": {},
        "verl.utils.device": {"get_torch_device": lambda: torch.cuda},
        "verl.utils.fsdp_utils": {"FSDPModule": FSDPModule},
    }.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)
    if verl_offload is None:
        raise SystemExit("--verl-offload is needed for a case with offloaded activations")
    spec = importlib.util.spec_from_file_location("activation_offload", verl_offload)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # verl calls it as well; reentrant checkpointing needs inputs with a gradient.
    model.enable_input_require_grads()
    model.train()
    strategy = "fsdp" if case.get("strategy") == "fsdp" else "fsdp2"
    module.enable_activation_offloading(model, strategy, case.get("checkpointing", True))


def shard_by_parameter(model, mesh, device):
    """verl's strategy fsdp2: each layer, the embedding and the head are units of their own."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=True
    )
    keys = {"mesh": mesh, "mp_policy": policy, "reshard_after_forward": True}
    layers = set(model._no_split_modules)
    for name, module in list(model.named_modules()):
        if type(module).__name__ in layers or name.rsplit(".", 1)[-1] in ("embed_tokens", "lm_head"):
            fully_shard(module, **keys)
    fully_shard(model, **keys)
    return model


def shard_with_flat_parameters(model, mesh, device):
    """verl's strategy fsdp: each layer is a unit, the embedding and the head lie in the root's."""
    import functools

    from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision
    from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

    names = set(model._no_split_modules)
    layers = {type(module) for module in model.modules() if type(module).__name__ in names}
    precision = MixedPrecision(
        param_dtype=torch.bfloat16, reduce_dtype=torch.float32, buffer_dtype=torch.float32
    )
    return FullyShardedDataParallel(
        model,
        auto_wrap_policy=functools.partial(transformer_auto_wrap_policy, transformer_layer_cls=layers),
        mixed_precision=precision,
        device_mesh=mesh,
        device_id=torch.cuda.current_device() if device == "cuda" else None,
        use_orig_params=False,
    )


def clip(model, case: dict) -> None:
    if case.get("strategy") == "fsdp":
        model.clip_grad_norm_(1.0)
    else:
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def train_micro_batch(model, case: dict, device: str, memory: "Memory") -> None:
    loss = loss_of(model, case, device)
    memory.note_peak("forward")
    loss.backward()
    memory.note_peak("backward")


def loss_of(model, case: dict, device: str):
    """The loss, as verl computes it. Its releases differ in how they divide the logits by the temperature."""
    tokens, labels = sequence(case, device)
    temperature = torch.ones(tokens.shape[1], 1, device=device)
    with autocast(device):
        output = model(input_ids=tokens, use_cache=False)
        logits = output.logits.squeeze(0)
        match case.get("logits", "as they are"):
            case "as they are":  # 0.9.1 at temperature 1
                pass
            case "divided":  # 0.9.1 at other temperatures
                logits = logits / temperature.to(logits.dtype)
            case "divided in place":  # 0.8.0
                logits.div_(temperature.to(logits.dtype))
        entropy = case.get("entropy", False)
        log_probs = LogProbabilities.apply(logits, labels, not entropy)
        loss = -(torch.exp(log_probs - log_probs.detach()) * 1e-3).mean()
        if entropy:
            loss = loss - 1e-3 * entropy_of(logits).mean()
    return loss


def log_probabilities(model, case: dict, device: str) -> None:
    """The phase before the update: no gradients, and the entropy is computed too."""
    tokens, labels = sequence(case, device)
    # verl's offloading of activations does nothing then.
    model.eval()
    with torch.no_grad(), autocast(device):
        logits = model(input_ids=tokens, use_cache=False).logits.squeeze(0)
        LogProbabilities.apply(logits, labels, True)


def sequence(case: dict, device: str):
    tokens = torch.randint(0, case["config"]["vocab_size"], (1, case["tokens"]), device=device)
    return tokens, tokens.squeeze(0).roll(-1)


def entropy_of(logits):
    """As verl computes it; verl compiles this function."""
    def compute(logits):
        probabilities = torch.nn.functional.softmax(logits, dim=-1)
        return torch.logsumexp(logits, dim=-1) - torch.sum(probabilities * logits, dim=-1)

    return torch.compile(compute, dynamic=True)(logits)


def autocast(device: str):
    return torch.autocast(device, dtype=torch.bfloat16)


def only_flash_attention() -> None:
    """Long windows are only possible with this kernel; and recomputation must choose the same."""
    torch.backends.cuda.enable_math_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


def require_fla() -> None:
    """Without fla transformers falls back silently to code in fp32 that keeps several times as much.

    fla refuses a kernel that Triton before 3.7.1 compiles wrongly for Hopper. It is let through: the gradients are
    wrong, but the tensors are as large.
    """
    from fla.ops.common import chunk_o
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule  # noqa: F401

    if hasattr(chunk_o, "TRITON_ABOVE_3_7_1"):
        chunk_o.TRITON_ABOVE_3_7_1 = True


def move(model, optimizer, device: str, case: dict) -> None:
    """verl's offloading between phases: parameters and optimizer state go to host memory and come back."""
    if case.get("strategy") != "fsdp":
        model.to(device)
    if optimizer is None:
        return
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                state[key] = value.to(device)


class Memory:
    """What the allocator and the driver say, by phase, in bytes; of all GPUs the most."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.marks: dict[str, int] = {}
        self.peaks: dict[str, int] = {}

    def empty_cache(self) -> None:
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def reset(self) -> None:
        """Forgets the peaks of what came before."""
        self.peaks = {name: peak for name, peak in self.peaks.items() if name == "weights"}
        if self.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()

    def mark(self, name: str) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
            self.marks[name] = torch.cuda.memory_allocated()

    def note_peak(self, name: str) -> None:
        """The peak since the last call; of several notes of a name the highest."""
        if self.device == "cuda":
            torch.cuda.synchronize()
            self.peaks[name] = max(self.peaks.get(name, 0), torch.cuda.max_memory_allocated())
            self.reserved = max(getattr(self, "reserved", 0), torch.cuda.memory_reserved())
            free, total = torch.cuda.mem_get_info()
            self.outside = total - free - torch.cuda.memory_reserved()
            torch.cuda.reset_peak_memory_stats()
            say(f"{name}, peak {self.peaks[name] / 1e9:.2f} GB")
            if name != "log-probabilities":
                self.training = dict(self.peaks)

    def report(self) -> dict:
        if self.device != "cuda":
            return {}
        numbers = {
            **{f"peak: {name}": value for name, value in {**self.training, **self.peaks}.items()},
            **{f"at rest: {name}": value for name, value in self.marks.items()},
            "reserved": self.reserved,
            "outside the allocator": self.outside,
        }
        values = torch.tensor(list(numbers.values()), device="cuda", dtype=torch.int64)
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
        numbers = dict(zip(numbers, values.tolist(), strict=True))
        numbers["peak"] = max(numbers[f"peak: {name}"] for name in ("forward", "backward", "step"))
        return {"bytes": numbers}


class LogProbabilities(torch.autograd.Function):
    """Log-probabilities of the labels, with the memory of flash-attn's cross entropy: the gradient may take the
    place of the logits."""

    rows = 512

    @staticmethod
    def forward(ctx, logits, labels, in_place):
        sums, chosen = [], []
        for part, label in zip(logits.split(LogProbabilities.rows), labels.split(LogProbabilities.rows), strict=True):
            wide = part.float()
            sums.append(torch.logsumexp(wide, dim=-1))
            chosen.append(wide.gather(-1, label.unsqueeze(-1)).squeeze(-1))
        normalizer = torch.cat(sums)
        ctx.save_for_backward(logits, labels, normalizer)
        ctx.in_place = in_place
        return torch.cat(chosen) - normalizer

    @staticmethod
    def backward(ctx, gradient):
        logits, labels, normalizer = ctx.saved_tensors
        result = logits if ctx.in_place else torch.empty_like(logits)
        for start in range(0, logits.shape[0], LogProbabilities.rows):
            part = slice(start, start + LogProbabilities.rows)
            change = torch.exp(logits[part].float() - normalizer[part].unsqueeze(-1))
            change.mul_(-gradient[part].unsqueeze(-1))
            change.scatter_add_(-1, labels[part].unsqueeze(-1), gradient[part].unsqueeze(-1))
            result[part] = change.to(result.dtype)
        return result, None, None


def versions(device: str) -> dict:
    found = {"torch": torch.__version__, "transformers": transformers.__version__}
    if device == "cuda":
        found["card"] = torch.cuda.get_device_name()
    return {"versions": found}


if __name__ == "__main__":
    main()
