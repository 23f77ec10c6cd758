#!/usr/bin/env bash
# Learn general-purpose audio representations from captions, and find out what they are worth.
#
# Usage: egs/captionstew/run.sh [--option value]...     from any directory; --stop-stage or --stop_stage
#
# Stages
#   0  download and prepare the corpora: a checked manifest per source, rejected.jsonl, a coverage table
#   1  curate: clean captions, leaks, duplicates, held-out families, statistics, tokenizer, data card
#   2  filterbank features, in shards
#   3  pretrain, once for each objective; and the two baselines that learn nothing
#   4  downstream, encoder frozen: probes, retrieval, zero-shot, captioning, question answering
#   5  report: one table, a page of plots
# Finished work is skipped until its command or inputs change; a run that was stopped goes on where it was.
#
# What to do
#   --stage 0 --stop-stage 5           first and last stage
#   --corpora mini                     mini: real recordings from the Debian archive; toy: synthesised, for tests;
#                                      or folders of egs/, such as "clotho audiocaps": the corpus, or a link to it,
#                                      lies in download/clotho as its README.md says
#   --objective "contrastive captioning"   what to pretrain: files of conf/pretrain, without .yaml
#   --baselines "random floor"         also evaluated: untrained weights, log-mel statistics
#   --model ../../conf/model/tiny.yaml     the shape of the model
#   --mixture ../../conf/data/mini.yaml    which sources, how often, which caption, what noise: a file of conf/data
#   --tasks "../../conf/evaluate/*.yaml"   what to evaluate
# How
#   --nj N                             processes that prepare and extract (default: all cores)
#   --nproc 1                          processes that train together in each pretraining: on GPUs, one for each
#   --seed 0                           of the split, the training and the untrained weights
#   --vocab-size 1000                  pieces of the tokenizer
#   --heldout 330 --valid 150          clips to test on, and to validate on while training
#   --evaluation-keys "keys.tsv"       files of audiotext evaluation-keys: clips of these evaluation sets are left out
#   --fingerprints none                by their sound, leaks: look for evaluation clips; all (for mini): for clips on both
#                                      sides of a split too (README.md says what is found, and what it takes)
#   --licences "CC0 CC-BY"             only clips under one of these (default: any)
#   --nested "400k 1m"                 also subsets of these sizes to pretrain on, each within the next
#   --pretrain-args "--set train.max_steps=500"        more arguments of audiotext pretrain
#   --evaluate-args "--set probe.seeds=[0]"            more arguments of audiotext evaluate
# Where (a typed path counts from where you are, a default one from this folder)
#   --download download                what was fetched
#   --data data/CORPORA                manifests, curated subsets, features
#   --exp exp                          models, results.md, plots; exp/CORPORA for other corpora than mini
stage=0
stop_stage=5
corpora=mini
objective="contrastive captioning"
baselines="random floor"
model=../../conf/model/tiny.yaml
mixture=""
tasks="../../conf/evaluate/*.yaml"
nj=$(env -u OMP_NUM_THREADS nproc)
nproc=1
seed=0
vocab_size=1000
heldout=330
valid=150
evaluation_keys=""
fingerprints=none
licences=""
nested=""
pretrain_args=""
evaluate_args=""
download=download
data=""
exp=""

# shellcheck source=../common/recipe.sh
. "$(dirname "$0")/../common/recipe.sh" "$@"

preset data "data/${corpora// /-}"
if [ "$corpora" = mini ]; then preset exp exp; else preset exp "exp/${corpora// /-}"; fi
[ "$corpora" != mini ] || preset fingerprints all
[ "$corpora" != toy ] || . conf/toy.sh
paths model mixture download data exp

[[ $fingerprints =~ ^(none|leaks|all)$ ]] || fail "--fingerprints $fingerprints: none, leaks or all"
for corpus in $corpora; do
    [ -e "../$corpus/local/prepare.py" ] || fail "no corpus is called '$corpus': egs/$corpus/local/prepare.py is not there;" \
        "try --corpora mini, or --corpora toy (synthesised, needs no download)"
done

if stage 0 "Download and prepare: $corpora"; then
    mkdir -p "$download"
    for corpus in $corpora; do
        if [ -e "../$corpus/local/fetch.py" ]; then
            once "$data/fetch-$corpus" --in "../$corpus/local" --out "$download" \
                -- "$python" "../$corpus/local/fetch.py" "$download"
        fi
        inputs=("../$corpus/local" ${roots[@]+"${roots[@]}"})
        if [ -e "../$corpus/local/toy.py" ]; then
            # recordings that arrive later are taken in by the next run
            [ -d "$download/$corpus" ] || fail "$download/$corpus: no such folder; put or link the corpus there," \
                "or fetch it by audiotext download, as egs/$corpus/README.md says"
            inputs+=("$data/$corpus.files") && mkdir -p "$data"
            (cd "$download/$corpus" && { find -L . -type f -printf '%p %s\n' || true; } | LC_ALL=C sort) \
                > "$data/$corpus.files"
        fi
        once "$data/prepare-$corpus" --in "${inputs[@]}" --out "$data/manifests/$corpus/coverage.md" \
            -- audiotext prepare --recipe "../$corpus/local/prepare.py" --download "$download" \
            --out "$data/manifests/$corpus" --nj "$nj"
    done
fi

if stage 1 "Curate: captions, leaks, duplicates, held-out families, tokenizer"; then
    manifests=()
    for corpus in $corpora; do
        needs 0 "$data/manifests/$corpus/coverage.md"
        manifests+=("$data/manifests/$corpus")
    done
    keys=()
    for file in $evaluation_keys; do
        [[ $file == /* ]] || file=$(realpath -m -s --relative-base="$PWD" "$caller/$file")
        [ -e "$file" ] || fail "--evaluation-keys $file: no such file; 'audiotext evaluation-keys' writes one"
        keys+=("$file")
    done
    asked=(${keys[@]+--evaluation "${keys[@]}"})
    # shellcheck disable=SC2206  # sizes are words
    asked+=(${licences:+--licences "$licences"} ${nested:+--nested $nested})
    if [ "$fingerprints" != none ]; then
        once "$data/fingerprints" --in "${manifests[@]}" --out "$data/prints" \
            -- audiotext fingerprint --manifest "${manifests[@]}" --out "$data/prints" --nj "$nj"
        once "$data/matches" --in "$data/.done/fingerprints" --out "$data/matches.tsv" \
            -- audiotext fingerprint --match "$data/prints" --against "$data/prints" --out "$data/matches.tsv" --nj "$nj"
        asked+=(--audio-matches "$data/matches.tsv")
        keys+=("$data/matches.tsv")
    fi
    if [ "$fingerprints" = all ]; then
        once "$data/duplicates" --in "$data/.done/fingerprints" --out "$data/duplicates.tsv" \
            -- audiotext fingerprint --match "$data/prints" --out "$data/duplicates.tsv" --nj "$nj"
        asked+=(--audio-duplicates "$data/duplicates.tsv")
        keys+=("$data/duplicates.tsv")
    fi
    once "$data/curate" --in "${manifests[@]}" ${keys[@]+"${keys[@]}"} \
        --out "$data/curated/pretrain.jsonl" "$data/curated/tokenizer" \
        -- audiotext curate --manifests "${manifests[@]}" --out "$data/curated" --seed "$seed" \
        --vocab-size "$vocab_size" --heldout "$heldout" --valid "$valid" ${asked[@]+"${asked[@]}"} \
        --nj "$nj"
    about=()
    for corpus in $corpora; do [ ! -e "../$corpus/README.md" ] || about+=("../$corpus/README.md"); done
    once "$data/card" --in "$data/.done/curate" "$data/curated/statistics.json" ${about[@]+"${about[@]}"} \
        --out "$data/curated/DATACARD.md" \
        -- audiotext card "$data/curated" --name "$corpora" ${about[@]+--about "${about[@]}"}
fi

if stage 2 "Features"; then
    for subset in pretrain valid heldout probe; do
        needs 1 "$data/curated/$subset.jsonl"
        if [ ! -s "$data/curated/$subset.jsonl" ]; then
            rm -f "$data/features/$subset.jsonl"
            log "  features-$subset: no clip is in it, skipped"
            continue
        fi
        once "$data/features-$subset" --in "$data/curated/$subset.jsonl" ../../conf/frontend/fbank80.yaml \
            --out "$data/features/$subset.jsonl" \
            -- audiotext features --manifest "$data/curated/$subset.jsonl" --out "$data/features/$subset.jsonl" \
            --frontend ../../conf/frontend/fbank80.yaml --nj "$nj"
    done
fi

# shellcheck source=../common/pretrain.sh
. ../common/pretrain.sh
# shellcheck source=../common/evaluate.sh
. ../common/evaluate.sh
