#!/usr/bin/env bash
# Your own files: how well the encoder of any model, frozen, finds them by their captions and tells their labels apart.
#
# Usage: egs/my_data/run.sh --model DIR [--corpus DIR | --corpus toy] [--option value]...
#
# Stages
#   0  prepare the corpus         1  features         2  evaluate, encoder frozen         3  report
#
#   --model DIR                  a model folder, such as ../captionstew/exp/contrastive/model
#   --corpus download            a folder with files.csv (README.md has its columns), or toy: synthesised, for tests
#   --stage 0 --stop-stage 3     first and last stage
#   --name NAME                  the model's name in the results (default: that of its pretraining run)
#   --tasks "conf/*.yaml"        what to evaluate; only conf/probe.yaml for a model without a text encoder, only
#                                conf/retrieval.yaml for files without labels
#   --evaluate-args "--set probe.seeds=[0]"    more arguments of audiotext evaluate
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
