"""verl's own Hydra configuration takes our command line, and means by it what the settings say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
from support.our_code import plans
from support.verl import VERSIONS, Case, Outcome, check

COMMAND = ["python3", "-m", "verl.trainer.main_ppo"]


def overrides_of(plan: dict[str, Any]) -> list[str]:
    """Hydra's part of the command line. A fork's own configuration files are not public."""
    assert plan["argv"][:3] == COMMAND
    rest = plan["argv"][3:]
    if plan["distribution"] == "fork":
        folder, name, *rest = rest
        project = plan["settings"]["trainer"]["project_dir"]
        assert folder == f"--config-path={project}/src/verl_patch/config"
        assert name == "--config-name=harbor_verl_sync"
    assert not any(argument.startswith("--") for argument in rest)
    return list(rest)


def case_of(plan: dict[str, Any]) -> Case:
    algorithm = plan["settings"]["algorithm"]
    return Case(
        overrides=overrides_of(plan),
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


def expected_values(plan: dict[str, Any]) -> dict[str, Any]:
    """What verl must be told, written down a second time, from the settings."""
    settings = plan["settings"]
    model, data, vllm = settings["model"], settings["data"], settings["vllm"]
    training, algorithm, trainer = settings["training"], settings["algorithm"], settings["trainer"]
    run = settings["experiment"]["exp_name"] or plan["stack"]
    project = settings["experiment"]["project_name"]
    window = training["max_prompt_length"] + training["max_response_length"]
    parser = settings["verl"].get("tool_call_parser", "qwen3_coder")
    loop_config = f"{trainer['project_dir']}/src/verl_patch/config/agent_loop_config_cc.yaml"
    tracked = settings["credentials"]["wandb_mode"] == "online"
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    values = {
        "data.train_files": data["train_index"],
        "data.val_files": data["val_index"],
        "data.train_batch_size": training["train_batch_size"],
        "data.val_batch_size": training["val_batch_size"],
        "data.max_prompt_length": training["max_prompt_length"],
        "data.max_response_length": training["max_response_length"],
        "data.return_raw_chat": True,
        "actor_rollout_ref.model.path": model["model_path"],
        "actor_rollout_ref.hybrid_engine": True,
        f"{actor}.strategy": "fsdp",
        f"{actor}.optim.lr": algorithm["learning_rate"],
        f"{actor}.optim.lr_scheduler_type": "constant",
        f"{actor}.ppo_mini_batch_size": training["train_prompt_mini_batch_size"],
        f"{actor}.use_dynamic_bsz": training["use_dynamic_bsz"],
        f"{actor}.ppo_max_token_len_per_gpu": -(-window // training["sp_size"]),
        f"{actor}.ulysses_sequence_parallel_size": training["sp_size"],
        f"{actor}.fsdp_config.param_offload": training["actor_offload"],
        f"{actor}.fsdp_config.optimizer_offload": training["actor_offload"],
        f"{actor}.use_kl_loss": algorithm["use_kl_loss"],
        f"{actor}.kl_loss_coef": algorithm["kl_loss_coef"],
        f"{actor}.kl_loss_type": algorithm["kl_loss_type"],
        f"{actor}.clip_ratio_low": algorithm["clip_ratio_low"],
        f"{actor}.clip_ratio_high": algorithm["clip_ratio_high"],
        f"{actor}.entropy_coeff": algorithm["entropy_coeff"],
        f"{actor}.loss_agg_mode": algorithm["loss_agg_mode"],
        f"{actor}.policy_loss.loss_mode": algorithm["policy_loss_mode"],
        "actor_rollout_ref.ref.fsdp_config.param_offload": training["ref_offload"],
        "actor_rollout_ref.ref.ulysses_sequence_parallel_size": training["sp_size"],
        f"{rollout}.name": "vllm",
        f"{rollout}.mode": "async",
        f"{rollout}.tensor_model_parallel_size": vllm["gen_tp"],
        f"{rollout}.gpu_memory_utilization": vllm["gpu_memory_utilization"],
        f"{rollout}.max_model_len": vllm["max_model_length"],
        f"{rollout}.max_num_seqs": vllm["max_num_seqs"],
        f"{rollout}.dtype": vllm["dtype"],
        f"{rollout}.enforce_eager": vllm["enforce_eager"],
        f"{rollout}.enable_chunked_prefill": vllm["enable_chunked_prefill"],
        f"{rollout}.n": training["n_resp_per_prompt"],
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
        f"{rollout}.agent.default_agent_loop": trainer["agent_loop"],
        f"{rollout}.agent.agent_loop_config_path": trainer.get("agent_loop_config", loop_config),
        f"{rollout}.engine_kwargs.vllm": {
            "served-model-name": model["served_model_name"],
            "enable-auto-tool-choice": True,
            "tool-call-parser": parser,
        },
        "algorithm.adv_estimator": "gae" if algorithm["adv_estimator"] == "ppo" else "grpo",
        "algorithm.use_kl_in_reward": False,
        "algorithm.rollout_correction.rollout_is": None,
        "trainer.nnodes": 1,
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
        **settings["verl"]["overrides"],
    }
    if algorithm["adv_estimator"] == "ppo":
        values |= {
            "critic.model.path": model["model_path"],
            "critic.ppo_max_token_len_per_gpu": -(-window // training["sp_size"]),
            "critic.ulysses_sequence_parallel_size": training["sp_size"],
        }
    if plan["version"] != "0.8.0":
        values["trainer.use_v1"] = False
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
        "0.8.0": 13,  # with the two shipped files
        "0.9.1": 11,
    }
    assert {"single-node", "smoke"} < set(all_outcomes()["0.8.0"])


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
