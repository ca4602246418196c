#!/bin/sh
# The streams of this study: 2 orders x 3 seeds x {no replay, a reservoir}, three stages each.
# After `cptlab sweep experiments/domain_stream`. A stage that is finished is skipped, so the same command goes on.
# Usage: sh experiments/domain_stream/streams.sh [key=value ...]
set -e
texts=${CPTLAB_CORPORA:-../shared/corpora}
stream() {
  python train.py -m "stream=[law,medical,code],[code,medical,law]" seed=0,1,2 mixture=domain_only \
    data=files data.general=prose \
    +data.corpora.prose="$texts/general.train.jsonl.gz" +data.corpora.law="$texts/law_en.train.jsonl.gz" \
    +data.corpora.medical="$texts/medical.train.jsonl.gz" +data.corpora.code="$texts/code_python.train.jsonl.gz" \
    model.size=30k model.base_run=runs/domain_stream_bases/30k lr_schedule=rewarm optimizer.peak_lr=2e-3 \
    tokens=409600 evaluation.points=4 evaluation.spacing=2 runs=runs/domain_stream/streams "$@"
}
stream replay=none "$@" & one=$!
stream replay=reservoir replay.replay_share=0.25 "$@"
wait $one
