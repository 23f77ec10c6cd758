# shellcheck shell=bash disable=SC2086,SC2154
# Stages 4 and 5: evaluate every model of the run with its encoder frozen, then one report. Uses the options objective,
# baselines, model (its text parts, where a model has none), tasks, evaluate_args.

if stage 4 "Downstream: $baselines $objective"; then
    needs 2 "$data/features/pretrain.jsonl" "$data/features/valid.jsonl" "$data/features/heldout.jsonl"
    manifests=("$data"/features/{pretrain,valid,heldout}.jsonl)
    if [ -e "$data/features/probe.jsonl" ]; then
        manifests+=("$data/features/probe.jsonl")
    else
        # no clip has a label that conf/evaluate probes, nor the questions that were made of such labels
        preset tasks "../../conf/evaluate/retrieval.yaml ../../conf/evaluate/captioning.yaml"
        log "  the clips have no labels to probe: $tasks"
    fi
    # shellcheck disable=SC2206  # a pattern, or several
    task_files=($tasks)
    for file in "${task_files[@]}"; do
        [ -e "$file" ] || fail "--tasks $file: no such file; the tasks are in conf/evaluate"
    done
    for name in $baselines $objective; do
        needs 3 "$exp/$name/model"
    done
    # Models side by side: work as small as this gains little from more threads.
    evaluate_model() {
        once "$exp/evaluate-$1" --out "$exp/results/$1" \
            --in "$exp/$1/model" "$model" "$data/curated/tokenizer" "${task_files[@]}" \
            "${manifests[@]}" \
            -- audiotext evaluate --model "$exp/$1/model" --name "$1" --tasks "${task_files[@]}" \
            --features-dir "$data/features" --tokenizer "$data/curated/tokenizer" --text-config "$model" \
            --out "$exp/results" $evaluate_args
    }
    at_once "$nj" evaluate_model $baselines $objective
fi

if stage 5 "Report"; then
    results=()
    for name in $baselines $objective; do
        needs 4 "$exp/results/$name"
        results+=("$exp/results/$name")
    done
    once "$exp/report" --in "${results[@]}" --out "$exp/results.md" "$exp/plots" \
        -- audiotext report --results "$exp/results" --exp "$exp" --out "$exp/results.md" --plots "$exp/plots" \
        --features-dir "$data/features"
    # a report that was made just now has been shown
    ! $skipped || cat "$exp/log/report.log"
    log "the table is $exp/results.md, the plots are $exp/plots"
fi
