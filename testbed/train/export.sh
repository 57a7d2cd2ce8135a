#!/usr/bin/env bash
# Export both models, write their golden values, measure them, fill in the tables of their cards.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=.attune/venv/bin/python
declare -A data=([lm]=text [vlm]=pictures)
for m in lm vlm; do
  run=.attune/testbed/$m items=.attune/testbed/data/${data[$m]} model=testbed/models/worlds-$m
  $python testbed/train/export.py $m "$run" "$model"
  $python testbed/train/golden.py $m "$run" "$items" "$model"
  $python "testbed/train/measure_$m.py" "$run" "$items" "$model"
  $python testbed/train/card.py "$model" "$run/log.jsonl"
done
