#!/bin/bash
# A sweep on SLURM, as a job array of shards, over several nodes, or both:
#
#     sbatch --array=0-3 docs/slurm.sh              # 4 jobs, each with its own populations
#     sbatch --nodes=2 docs/slurm.sh                # 2 nodes that train each population together
#     sbatch --array=0-3 --nodes=2 docs/slurm.sh    # 4 jobs of 2 nodes
#
# Submit it from the checkout. The same command goes on where a job was stopped. A task gets one GPU: set
# --ntasks-per-node to the GPUs of a node; without GPUs, delete --gpus-per-task.
#SBATCH --job-name=scaledis
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --time=12:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%A_%a.out
set -u

CONFIG=${CONFIG:-configs/granularity.py}
SWEEP=${SWEEP:-granularity}
WORKDIR=${WORKDIR:-runs/$(basename "$CONFIG" .py)}
PYTHON=${PYTHON:-.venv/bin/python}

flags=(--config="$CONFIG" --sweep="$SWEEP" --workdir="$WORKDIR")
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  flags+=(--shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT")
fi
if [ "${SLURM_NTASKS:-1}" -gt 1 ]; then
  flags+=(--distributed)
fi

srun --kill-on-bad-exit=1 "$PYTHON" -m scaledis.main "${flags[@]}"
code=$?
if [ "$code" = 130 ]; then # stopped at a checkpoint by --signal, five minutes before the end: go on in a new slot
  scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
