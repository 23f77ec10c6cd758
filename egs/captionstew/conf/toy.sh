# shellcheck shell=bash
# What --corpora toy sets for options that were not given: everything small, so that a test can run the whole recipe.
preset model conf/toy.yaml
preset vocab_size 300
preset heldout 30
preset valid 18
preset pretrain_args "--set train.max_steps=40 train.valid_interval=20 train.save_interval=10 train.log_interval=10 \
train.threads=1 data.sampler.max_duration=20"
preset evaluate_args "--set seeds=[0] probe.poolings=[mean] captioning.language.fit.epochs=2 \
question.language.fit.epochs=2 retrieval.lit.fit.epochs=2 zero_shot.lit.fit.epochs=2"
