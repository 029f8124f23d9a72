#!/usr/bin/env bash
# Label SAE features of Llama-3.1-8B on finance news. Copy it and change the defaults for
# another model.
#   bash run_llama_labeling.sh [features] [sae_path] [sae_id] [further flags of "label", say --scoring all]
# No GPU or Llama at hand? The demo runs anywhere:
#   MODEL_PATH=demo DATASET_PATH=demo bash run_llama_labeling.sh "3,7,11" demo demo
set -euo pipefail

FEATURES=${1:-"11,313,251,165,28,375,53,379,297,207,132,32,181,166,350,215,249,376,56,381"}
SAE_PATH=${2:-${SAE_PATH:-}}
SAE_ID=${3:-${SAE_ID:-blocks.19.hook_resid_post}}
MODEL_PATH=${MODEL_PATH:-meta-llama/Llama-3.1-8B-Instruct}
DATASET_PATH=${DATASET_PATH:-jyanimaulik/yahoo_finance_stockmarket_news}
OUTPUT_DIR=${OUTPUT_DIR:-results}
N_SAMPLES=${N_SAMPLES:-1000}
MAX_EXAMPLES=${MAX_EXAMPLES:-20}

if [ -z "$SAE_PATH" ]; then
  echo "error: no SAE given: name its folder (or release) as second argument, for example" \
    "'bash run_llama_labeling.sh \"11,313\" /data/my_sae blocks.19.hook_resid_post'; or run the demo:" \
    "MODEL_PATH=demo DATASET_PATH=demo bash run_llama_labeling.sh \"3,7,11\" demo demo" >&2
  exit 2
fi

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-$([ -x "$HERE/.venv/bin/python" ] && echo "$HERE/.venv/bin/python" || echo python3)}
export PYTHONPATH="$HERE${PYTHONPATH:+:$PYTHONPATH}"

exec "$PYTHON" -m autointerp_core label \
  --feature-indices="$FEATURES" \
  --model-path="$MODEL_PATH" \
  --sae-path="$SAE_PATH" \
  --sae-id="$SAE_ID" \
  --dataset-path="$DATASET_PATH" \
  --output-dir="$OUTPUT_DIR" \
  --n-samples="$N_SAMPLES" \
  --max-examples-per-feature="$MAX_EXAMPLES" \
  "${@:4}"
