# shellcheck shell=bash disable=SC2086,SC2154
# Every stage of a downstream recipe: prepare a corpus, extract features, evaluate a frozen model on it, report.
# Uses the options corpus, model, name, tasks, nj, evaluate_args, data and exp; and train_recipe and train_corpus of a
# corpus that has nothing to train on.

if [ "$corpus" = toy ]; then
    preset data data/toy
    preset exp exp/toy
    paths data
    where=$data/corpus
else
    preset data data/corpus
    preset exp exp
    paths corpus
    where=$corpus
fi
if [ -n "${train_recipe:-}" ]; then
    [ -e "../$train_recipe/local/prepare.py" ] || fail "--train-recipe $train_recipe: no such folder of egs/"
    # of its own recipe, or beside this one
    preset train_corpus "../$train_recipe/download"
    if [ -d "$(dirname "$where")/$train_recipe" ]; then preset train_corpus "$(dirname "$where")/$train_recipe"; fi
    if [ "$corpus" = toy ]; then preset train_corpus "$data/$train_recipe"; fi
    paths train_corpus
fi
paths model data exp

# prepare_corpus RECIPE FOLDER NAME: the corpus in FOLDER to $data/NAME/cuts.jsonl, by the recipe in that folder.
prepare_corpus() {
    if [ "$corpus" = toy ]; then
        once "$data/toy-$3" --in "$1/local/toy.py" --out "$2" -- "$python" "$1/local/toy.py" "$2"
    fi
    [ -d "$2" ] || fail "$2: no such corpus folder; give --corpus DIR (or --train-corpus) with the layout that" \
        "README.md shows, or --corpus toy (synthesised)"
    once "$data/prepare-$3" --in "$1/local/prepare.py" ${roots[@]+"${roots[@]}"} --out "$data/$3/cuts.jsonl" \
        -- audiotext prepare --recipe "$1/local/prepare.py" --root "$2" --out "$data/$3" --nj "$nj"
}

# extract_features NAME MANIFEST: those of $data/NAME/cuts.jsonl, to $data/features/MANIFEST.jsonl.
extract_features() {
    once "$data/features-$2" --in "$data/$1/cuts.jsonl" "$data/frontend.yaml" --out "$data/features/$2.jsonl" \
        -- audiotext features --manifest "$data/$1/cuts.jsonl" --out "$data/features/$2.jsonl" \
        --frontend "$data/frontend.yaml" --nj "$nj"
}

if stage 0 "Prepare the corpus: $where"; then
    prepare_corpus . "$where" manifests
    if [ -n "${train_recipe:-}" ]; then prepare_corpus "../$train_recipe" "$train_corpus" training; fi
fi

# The features are those of the model's own frontend; a model with another one extracts them again.
if [ "$stop_stage" -ge 1 ]; then
    [ -n "$model" ] || fail "which model? --model DIR, such as ../captionstew/exp/contrastive/model"
    [ -e "$model/config.yaml" ] || fail "--model $model: not a model folder; stage 3 of egs/captionstew/run.sh makes one"
    # a model folder called model has the name of its run
    preset name "$(basename "$(realpath "${model%/model}")")"
fi

if stage 1 "Features"; then
    needs 0 "$data/manifests/cuts.jsonl"
    "$python" -c 'import sys, yaml; print(yaml.safe_dump(yaml.safe_load(open(sys.argv[1]))["frontend"]))' \
        "$model/config.yaml" > "$data/frontend.yaml"
    extract_features manifests probe
    if [ -n "${train_recipe:-}" ]; then extract_features training training; fi
fi

if stage 2 "Evaluate, encoder frozen: $model"; then
    needs 1 "$data/features/probe.jsonl"
    # shellcheck disable=SC2206  # a pattern, or several
    task_files=($tasks)
    text=() training=()
    if grep -qE '^(manifest|test): test$' "${task_files[@]}"; then
        # these train a text side or a decoder, the same for every model, on the corpus' own training split or another's
        if [ -n "${train_recipe:-}" ]; then training=("$data/features/training.jsonl"); fi
        once "$data/split" --in "$data/features/probe.jsonl" ${training[@]+"${training[@]}"} \
            --out "$data/features/test.jsonl" "$data/tokenizer" \
            -- audiotext split --manifest "$data/features/probe.jsonl" ${training[@]+--train "${training[@]}"} \
            --out "$data/features" --tokenizer "$data/tokenizer"
        text=(--tokenizer "$data/tokenizer" --text-config ../../conf/model/tiny.yaml)
    fi
    once "$exp/evaluate-$name" --in "$model" "$data/features/probe.jsonl" ${training[@]+"${training[@]}"} "${task_files[@]}" \
        --out "$exp/results/$name" \
        -- audiotext evaluate --nj "$nj" --model "$model" --name "$name" --tasks "${task_files[@]}" \
        --features-dir "$data/features" --out "$exp/results" ${text[@]+"${text[@]}"} $evaluate_args
fi

if stage 3 "Report"; then
    needs 2 "$exp/results"
    once "$exp/report" --in "$exp/results" --out "$exp/results.md" \
        -- audiotext report --results "$exp/results" --exp "$exp" --out "$exp/results.md" --plots "$exp/plots"
    # a report that was made just now has been shown
    ! $skipped || cat "$exp/log/report.log"
fi
