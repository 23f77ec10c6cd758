#!/usr/bin/env bash
# AudioSet-strong: which of some 400 sounds, from when to when; a detector on the frozen frames of any model, by PSDS1.
#
# Usage: egs/audioset_strong/run.sh --model DIR [--corpus DIR | --corpus toy] [--option value]...
#
# Stages
#   0  prepare the corpus         1  features         2  evaluate, encoder frozen         3  report
#
#   --model DIR                  a model folder, such as ../captionstew/exp/contrastive/model
#   --corpus download            the corpus as published (README.md says where from), or toy: synthesised, for tests
#   --stage 0 --stop-stage 3     first and last stage
#   --name NAME                  the model's name in the results (default: that of its pretraining run)
#   --tasks "conf/*.yaml"        what to evaluate
#   --evaluate-args "--set detection.seeds=[0]"    more arguments of audiotext evaluate
#   --nj N                       processes that prepare, extract and embed (default: all cores)
#   --data data/corpus --exp exp     where things go (data/toy, exp/toy for the toy corpus)
stage=0
stop_stage=3
model=""
corpus=download
name=""
tasks="conf/*.yaml"
evaluate_args=""
nj=$(env -u OMP_NUM_THREADS nproc)
data=""
exp=""

# shellcheck source=../common/recipe.sh
. "$(dirname "$0")/../common/recipe.sh" "$@"
# shellcheck source=../common/downstream.sh
. ../common/downstream.sh
