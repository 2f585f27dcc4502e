#!/usr/bin/env bash
# Turn-level GRPO on verl: one node of 8 GPUs. In verl's own environment:
#   pip install 'verl[vllm,fsdp]==0.9.1' && pip install acs-gym
# bash examples/tlgrpo/verl_train.sh MODEL_FOLDER RUN.toml OUT_FOLDER
set -euo pipefail
model=$1 settings=$(realpath "$2") out=$3

# These three have to agree with RUN.toml: problems, and problems x turns x group.
problems=32 turns=5 group=8
updates=250
mkdir -p "$out"
out=$(realpath "$out")

cat > "$out/loop.yaml" <<YAML
- name: tl_grpo
  _target_: tlgrpo.engines.verl.TurnAgentLoop
  settings: $settings
YAML

python - "$settings" "$out/problems.parquet" $((problems * updates)) <<'PYTHON'
import sys
from pathlib import Path
from tlgrpo.config import TrainConfig
from tlgrpo.engines.verl import write_problems
write_problems(TrainConfig.read(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]))
PYTHON

# rollout.n is 1: the loop samples the group. ppo_mini_batch_size counts rows, so that all turns are
# one optimiser step; verl only allows it to exceed train_batch_size with use_dynamic_bsz.
python -m verl.trainer.main_ppo \
  algorithm.adv_estimator=tl_grpo \
  algorithm.norm_adv_by_std_in_grpo=true \
  +actor_rollout_ref.rollout.agent.agent_loop_manager_class=tlgrpo.engines.verl.TurnLoopManager \
  actor_rollout_ref.rollout.agent.default_agent_loop=tl_grpo \
  actor_rollout_ref.rollout.agent.agent_loop_config_path="$out/loop.yaml" \
  actor_rollout_ref.rollout.name=vllm \
  actor_rollout_ref.rollout.n=1 \
  actor_rollout_ref.rollout.calculate_log_probs=true \
  actor_rollout_ref.rollout.tensor_model_parallel_size=2 \
  actor_rollout_ref.rollout.gpu_memory_utilization=0.5 \
  actor_rollout_ref.rollout.prompt_length=4096 \
  actor_rollout_ref.rollout.response_length=512 \
  actor_rollout_ref.model.path="$model" \
  actor_rollout_ref.model.use_remove_padding=true \
  actor_rollout_ref.model.enable_gradient_checkpointing=true \
  actor_rollout_ref.actor.optim.lr=1e-6 \
  actor_rollout_ref.actor.use_dynamic_bsz=true \
  actor_rollout_ref.actor.ppo_mini_batch_size=$((problems * turns * group)) \
  actor_rollout_ref.actor.use_kl_loss=false \
  data.train_batch_size=$problems \
  data.shuffle=false \
  data.train_files="$out/problems.parquet" \
  data.val_files="$out/problems.parquet" \
  data.return_raw_chat=true \
  trainer.n_gpus_per_node=8 \
  trainer.nnodes=1 \
  trainer.total_training_steps=$updates \
  trainer.val_before_train=false \
  trainer.test_freq=-1 \
  trainer.save_freq=20 \
  trainer.default_local_dir="$out/checkpoints" \
  trainer.logger='["console"]'
