"""verl's own Hydra configuration takes our command line, and means by it what the settings say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
from support.our_code import plans
from support.verl import VERSIONS, Case, Outcome, check

SYNC = "verl.trainer.main_ppo"
ASYNC = "verl.experimental.fully_async_policy.fully_async_main"

LOOPS = {"fork": "builtin_swe_agent", "stock": "harbor"}
"""Names of the agent loops in the configurations of their images."""


def is_async(plan: dict[str, Any]) -> bool:
    return plan["settings"]["tier"] != "single-node"


def overrides_of(plan: dict[str, Any]) -> list[str]:
    """Hydra's part of the command line. A fork's own configuration files are not public."""
    argv = plan["argv"]
    if plan["distribution"] == "stock":
        # The check of our own image comes first (test/training/test_check.py).
        assert argv[:3] == ["python3", "-m", "swe_rl_training.check"]
        argv = argv[argv.index("--") + 1 :]
    assert argv[:3] == ["python3", "-m", ASYNC if is_async(plan) else SYNC]
    rest = argv[3:]
    if plan["distribution"] == "fork":
        folder, name, *rest = rest
        project = plan["settings"]["trainer"]["project_dir"]
        assert folder == f"--config-path={project}/src/verl_patch/config"
        asynchronous = (
            "lego_rl_fully_async_megatron"
            if plan["settings"]["verl"]["engine"] == "megatron"
            else "lego_rl_fully_async_fsdp"
        )
        expected = asynchronous if is_async(plan) else "harbor_verl_sync"
        assert name == f"--config-name={expected}"
    assert not any(argument.startswith("--") for argument in rest)
    return list(rest)


def case_of(plan: dict[str, Any]) -> Case:
    algorithm = plan["settings"]["algorithm"]
    return Case(
        overrides=overrides_of(plan),
        asynchronous=is_async(plan),
        use_reference_policy=algorithm["use_kl_loss"],
        use_critic=algorithm["adv_estimator"] == "ppo",
    )


@cache
def all_outcomes() -> dict[str, dict[str, Outcome]]:
    """By version and name of the plan."""

    def outcomes_of(version: str) -> dict[str, Outcome]:
        mine = [plan for plan in plans() if plan["version"] == version]
        results = check(version, [case_of(plan) for plan in mine])
        return {plan["name"]: result for plan, result in zip(mine, results, strict=True)}

    with ThreadPoolExecutor() as pool:
        return dict(zip(VERSIONS, pool.map(outcomes_of, VERSIONS), strict=True))


PARSERS = {"claude-code": "qwen3_coder", "openhands-sdk": "hermes", "opencode": "qwen3_coder"}
"""By scaffold, for the models of the shipped files."""


def dotted(overrides: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of maps by their keys, with dots."""
    values: dict[str, Any] = {}
    for name, value in overrides.items():
        if isinstance(value, dict):
            values |= dotted(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values


def expected_values(plan: dict[str, Any]) -> dict[str, Any]:
    """What verl must be told, written down a second time, from the settings."""
    settings = plan["settings"]
    model, data, vllm = settings["model"], settings["data"], settings["vllm"]
    training, algorithm, trainer = settings["training"], settings["algorithm"], settings["trainer"]
    run = settings["experiment"]["exp_name"] or plan["stack"]
    project = settings["experiment"]["project_name"]
    window = training["max_prompt_length"] + training["max_response_length"]
    engine, asynchronous = settings["verl"]["engine"], is_async(plan)
    nodes = {"single-node": 1, "two-node": 1, "three-node": 2}[settings["tier"]]
    shared = training["cp_size" if engine == "megatron" else "sp_size"]
    scaffold = plan["scaffold"]["name"]
    parser = settings["verl"].get("tool_call_parser", PARSERS[scaffold])
    loop = "cc" if scaffold == "claude-code" else "oh"
    loop_config = (
        "/opt/swe-rl-training/agent_loop.yaml"
        if plan["distribution"] == "stock"
        else f"{trainer['project_dir']}/src/verl_patch/config/agent_loop_config_{loop}.yaml"
    )
    tracked = settings["credentials"]["wandb_mode"] == "online"
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    batch, responses, mini = (
        (8, 4, 8)
        if settings["smoke"]
        else (
            training["train_batch_size"],
            training["n_resp_per_prompt"],
            training["train_prompt_mini_batch_size"],
        )
    )
    values = {
        "data.train_files": data["train_index"],
        "data.val_files": data["val_index"],
        "data.train_batch_size": 0 if asynchronous else batch,
        "data.val_batch_size": training["val_batch_size"],
        "data.max_prompt_length": training["max_prompt_length"],
        "data.max_response_length": training["max_response_length"],
        "data.return_raw_chat": True,
        "actor_rollout_ref.model.path": model["model_path"],
        "actor_rollout_ref.hybrid_engine": not asynchronous,
        f"{actor}.strategy": engine,
        f"{actor}.optim.lr": algorithm["learning_rate"],
        f"{actor}.ppo_mini_batch_size": mini,
        f"{actor}.use_dynamic_bsz": training["use_dynamic_bsz"],
        f"{actor}.ppo_max_token_len_per_gpu": -(-window // shared),
        f"{actor}.use_kl_loss": algorithm["use_kl_loss"],
        f"{actor}.kl_loss_coef": algorithm["kl_loss_coef"],
        f"{actor}.kl_loss_type": algorithm["kl_loss_type"],
        f"{actor}.clip_ratio_low": algorithm["clip_ratio_low"],
        f"{actor}.clip_ratio_high": algorithm["clip_ratio_high"],
        f"{actor}.entropy_coeff": algorithm["entropy_coeff"],
        f"{actor}.loss_agg_mode": algorithm["loss_agg_mode"],
        f"{actor}.policy_loss.loss_mode": algorithm["policy_loss_mode"],
        f"{rollout}.name": "vllm",
        f"{rollout}.mode": "async",
        f"{rollout}.tensor_model_parallel_size": vllm["gen_tp"],
        f"{rollout}.gpu_memory_utilization": vllm["gpu_memory_utilization"],
        f"{rollout}.max_model_len": vllm.get("max_model_length", window),
        f"{rollout}.max_num_seqs": vllm["max_num_seqs"],
        f"{rollout}.dtype": vllm["dtype"],
        f"{rollout}.enforce_eager": vllm["enforce_eager"],
        f"{rollout}.enable_chunked_prefill": vllm["enable_chunked_prefill"],
        f"{rollout}.n": responses,
        f"{rollout}.prompt_length": training["max_prompt_length"],
        f"{rollout}.response_length": training["max_response_length"],
        f"{rollout}.temperature": algorithm["temperature"],
        f"{rollout}.top_p": algorithm["top_p"],
        f"{rollout}.top_k": algorithm["top_k"],
        f"{rollout}.val_kwargs.temperature": algorithm["val_temperature"],
        f"{rollout}.val_kwargs.top_p": algorithm["val_top_p"],
        f"{rollout}.val_kwargs.top_k": algorithm["val_top_k"],
        f"{rollout}.val_kwargs.do_sample": algorithm["val_temperature"] > 0,
        f"{rollout}.agent.num_workers": settings["harbor_runtime"]["num_workers"],
        f"{rollout}.agent.default_agent_loop": trainer.get(
            "agent_loop", LOOPS[plan["distribution"]]
        ),
        f"{rollout}.agent.agent_loop_config_path": trainer.get("agent_loop_config", loop_config),
        f"{rollout}.engine_kwargs.vllm": {
            "served-model-name": model["served_model_name"],
            "enable-auto-tool-choice": True,
            "tool-call-parser": parser,
            **settings["verl"]["overrides"].get(f"{rollout}.engine_kwargs.vllm", {}),
        },
        "algorithm.adv_estimator": "gae" if algorithm["adv_estimator"] == "ppo" else "grpo",
        "algorithm.use_kl_in_reward": False,
        "algorithm.rollout_correction.rollout_is": None,
        "trainer.nnodes": settings["infrastructure"].get("trainer_nodes", nodes),
        "trainer.n_gpus_per_node": settings["infrastructure"]["ngpus_per_node"],
        "trainer.project_name": project,
        "trainer.experiment_name": run,
        "trainer.logger": ["console", "wandb"] if tracked else ["console"],
        "trainer.default_local_dir": f"{trainer['project_dir']}/checkpoints/{project}/{run}",
        "trainer.resume_mode": "auto",
        "trainer.total_epochs": training["total_epochs"],
        "trainer.save_freq": training["save_freq"],
        "trainer.test_freq": training["test_freq"],
        "trainer.val_before_train": training["val_before_train"],
        "ray_kwargs.ray_init.namespace": plan["rayNamespace"],
        **dotted(settings["verl"]["overrides"]),
    }
    if algorithm["adv_estimator"] == "ppo":
        values |= {
            "critic.model.path": model["model_path"],
            "critic.ppo_max_token_len_per_gpu": -(-window // shared),
            "critic.strategy": engine,
        }
    values |= engine_values(plan)
    if asynchronous:
        values |= async_values(plan, batch=batch, responses=responses, mini=mini)
    if plan["version"] != "0.8.0":
        values["trainer.use_v1"] = False
    return values


def engine_values(plan: dict[str, Any]) -> dict[str, Any]:
    """What each training engine must be told."""
    settings = plan["settings"]
    training, engine = settings["training"], settings["verl"]["engine"]
    actor, reference = "actor_rollout_ref.actor", "actor_rollout_ref.ref"
    offload = training["actor_offload"]
    if engine == "fsdp":
        return {
            f"{actor}.optim.lr_scheduler_type": "constant",
            f"{actor}.ulysses_sequence_parallel_size": training["sp_size"],
            f"{reference}.ulysses_sequence_parallel_size": training["sp_size"],
            f"{actor}.fsdp_config.fsdp_size": training["fsdp_size"],
            f"{actor}.fsdp_config.param_offload": offload,
            f"{actor}.fsdp_config.optimizer_offload": offload,
            f"{reference}.fsdp_config.param_offload": training["ref_offload"],
        }
    replay = {
        f"{actor}.{engine}.router_replay.mode": "R3",
        "actor_rollout_ref.rollout.enable_rollout_routing_replay": True,
    }
    if engine == "veomni":
        return replay | {
            f"{actor}.optim.lr_scheduler_type": "constant",
            f"{actor}.veomni.ulysses_parallel_size": training["sp_size"],
            f"{actor}.veomni.expert_parallel_size": training["ep_size"],
            f"{actor}.veomni.fsdp_size": training["fsdp_size"],
            f"{actor}.veomni.param_offload": offload,
            f"{actor}.veomni.optimizer_offload": offload,
            f"{reference}.veomni.param_offload": training["ref_offload"],
            "actor_rollout_ref.model.use_fused_kernels": False,
            "actor_rollout_ref.model.enable_activation_offload": False,
        }
    sizes = {
        "tensor_model_parallel_size": training["tp_size"],
        "pipeline_model_parallel_size": training["pp_size"],
        "context_parallel_size": training["cp_size"],
        "expert_model_parallel_size": training["ep_size"],
    }
    return (
        replay
        | {f"{actor}.megatron.{key}": value for key, value in sizes.items()}
        | {f"{reference}.megatron.{key}": value for key, value in sizes.items()}
        | {
            f"{actor}.optim.lr_decay_style": "constant",
            f"{actor}.megatron.param_offload": offload,
            f"{actor}.megatron.optimizer_offload": offload,
            f"{reference}.megatron.param_offload": training["ref_offload"],
        }
    )


def async_values(
    plan: dict[str, Any], *, batch: int, responses: int, mini: int
) -> dict[str, Any]:
    """What verl's fully asynchronous trainer asserts at its start, and what it is to do."""
    settings = plan["settings"]
    knobs, verl = settings["async_training"], settings["verl"]
    gpus = settings["infrastructure"]["ngpus_per_node"]
    steps = batch // (mini * knobs["require_batches"])
    values = {
        "data.gen_batch_size": 1,
        "async_training.staleness_threshold": knobs["staleness_threshold"],
        "async_training.partial_rollout": knobs["partial_rollout"],
        "async_training.require_batches": knobs["require_batches"],
        "async_training.trigger_parameter_sync_step": knobs.get(
            "trigger_parameter_sync_step", steps
        ),
        "rollout.nnodes": settings["infrastructure"].get("rollout_nodes", 1),
        "rollout.n_gpus_per_node": gpus,
        "rollout.n": responses,
        "rollout.total_rollout_steps": knobs["total_rollout_steps"],
        "actor_rollout_ref.rollout.checkpoint_engine.backend": "nccl",
        "actor_rollout_ref.actor.use_rollout_log_probs": True,
        "algorithm.rollout_correction.bypass_mode": False,
    }
    if verl["distribution"] == "stock" and verl["version"] != "0.8.0":
        values["async_training.concurrent_samples_per_replica"] = 16
    if verl["distribution"] == "fork":
        values |= {
            "async_training.validation_rollout_min_idle_workers": 8,
            "algorithm.trajectory_filter.enable": True,
            "algorithm.trajectory_filter.drop_reasons": ["timeout", "env_setup_failed"],
        }
    return values


def value_at(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config[part]
    return config


@pytest.mark.parametrize("version", VERSIONS)
def test_composes_as_the_settings_say_and_passes_verls_validation(version: str) -> None:
    wrong = []
    for plan in plans():
        if plan["version"] != version:
            continue
        outcome = all_outcomes()[version][plan["name"]]
        if outcome.error or outcome.refusal:
            wrong.append(f"{plan['name']}: {outcome.error or outcome.refusal}")
            continue
        for key, value in expected_values(plan).items():
            composed = value_at(outcome.config, key)
            if composed != value or type(composed) is not type(value):
                wrong.append(f"{plan['name']}: {key} is {composed!r}, not {value!r}")
    assert not wrong, "\n".join(wrong)


def test_every_variation_was_tried() -> None:
    assert {version: len(tried) for version, tried in all_outcomes().items()} == {
        "0.8.0": 39 + len(SHIPPED["0.8.0"]),
        "0.9.1": 39 + len(SHIPPED["0.9.1"]),
    }
    for version, shipped in SHIPPED.items():
        assert shipped < set(all_outcomes()[version])


SHIPPED = {
    "0.8.0": {"single-node", "smoke", "two-node", "three-node", "three-node-veomni", "single-node-dense"},
    "0.9.1": {"single-node-stock", "two-node-stock", "three-node-stock"},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_checks_can_fail(version: str) -> None:
    """A mistyped key, a missing `++`, and values of which verl's own validation knows better."""

    def changed(title: str, old: str, new: str) -> Case:
        name = f"{title}, verl {version} stock"
        good = overrides_of(next(plan for plan in plans() if plan["name"] == name))
        assert len([line for line in good if line.startswith(old)]) == 1
        return Case([new if line.startswith(old) else line for line in good])

    mistyped, unknown, loss, batch = check(
        version,
        [
            changed("official", "data.train_batch_size=", "data.train_batchsize=64"),
            changed(
                "official", "++ray_kwargs.ray_init.namespace=", "ray_kwargs.ray_init.namespace=x"
            ),
            changed(
                "official",
                "actor_rollout_ref.actor.loss_agg_mode=",
                "actor_rollout_ref.actor.loss_agg_mode=x",
            ),
            changed("static batches", "data.train_batch_size=", "data.train_batch_size=16"),
        ],
    )
    assert "Could not override 'data.train_batchsize'" in (mistyped.error or "")
    assert "Could not override 'ray_kwargs.ray_init.namespace'" in (unknown.error or "")
    assert "Invalid loss_agg_mode: x" in (loss.refusal or "")
    assert "train_batch_size (16) must be >=" in (batch.refusal or "")
