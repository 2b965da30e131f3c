/** The input contract of the original system, key by key. */
export const contract = `
model: model_path served_model_name
data: data_dir train_index val_index
infrastructure: node0_ip nnodes ngpus_per_node ray_port ray_dashboard_port litellm_port vllm_logging_level anthropic_api_key
environment: venv_path
k8s: kubeconfig namespace pod_startup_timeout pod_active_deadline_seconds
vllm: gen_tp max_model_length gpu_memory_utilization enforce_eager max_num_seqs dtype enable_chunked_prefill
training: train_batch_size val_batch_size n_resp_per_prompt train_prompt_mini_batch_size max_prompt_length max_response_length sp_size ref_offload actor_offload use_dynamic_bsz total_epochs test_freq save_freq val_before_train
algorithm: adv_estimator policy_loss_mode learning_rate use_kl_loss kl_loss_coef kl_loss_type clip_ratio_low clip_ratio_high entropy_coeff loss_agg_mode temperature top_p top_k val_temperature val_top_p val_top_k
harbor_agent: agent_name agent_import_path runtime_image runtime_mount_path runtime_image_subpath max_iterations max_retries max_timeout_sec override_timeout_sec disable_tool_calls verifier_enabled environment_delete temperature pod_name_prefix agent_setup_timeout_multiplier agent_timeout_multiplier verifier_timeout_multiplier environment_build_timeout_multiplier environment_type environment_import_path environment_force_build environment_override_cpus environment_override_memory_mb max_consecutive_no_tool host_path_mounts docker_host
harbor_runtime: num_workers tail_kill_target tail_kill_grace_sec tail_kill_min_tasks
experiment: project_name exp_name trials_dir trajectory_logger_src
credentials: wandb_api_key wandb_mode
`
  .trim()
  .split("\n")
  .flatMap((line) => {
    const [section = "", keys = ""] = line.split(": ");
    return keys.split(" ").map((key) => `${section}.${key}`);
  });
