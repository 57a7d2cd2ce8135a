"""Write the tables of a model card from measurements.json and the training log; the prose around them is written by hand.

    python testbed/train/card.py testbed/models/worlds-lm [log.jsonl]

Replaces what stands between `<!-- numbers -->` and `<!-- /numbers -->` in the folder's README.md, and copies the log there.
"""

import json
import os
import shutil
import sys

BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"


def percent(x):
    return f"{100 * x:.1f}"


def interval(s):
    if s["n"] == 0:
        return "none"
    return f"{percent(s['value'])} [{percent(s['low'])}, {percent(s['high'])}]"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def lm(m):
    rows = []
    for split in ("validation", "test"):
        for task, e in m[split].items():
            if task == "story":
                rows.append([split, task, "", f"perplexity {e['perplexity']}", ""])
            else:
                rows.append([split, task, percent(e["chance"]), interval(e["accuracy"]), e["accuracy"]["n"]])
    yield "### Accuracy\n\nPercent with Wilson's 95 % interval; the best choice by log-probability.\n"
    yield table(["split", "task", "chance", "accuracy", "n"], rows)
    places = {"documents": [f"document {i + 1}" for i in range(5)], "choice": list("ABCD"), "judge": ["first", "second"],
              "sentiment": ["positive", "negative"]}
    rows = [[task, name, interval(by), by["n"], percent(share)]
            for task, names in places.items()
            for name, by, share in zip(names, m["test"][task]["accuracy_by_gold_place"], m["test"][task]["share_chosen_by_place"])]
    yield "### Biases (test split)\n\nAccuracy where the right answer stands at a place, and how often that place is chosen (all places are right equally often).\n"
    yield table(["task", "right answer at", "accuracy", "n", "chosen"], rows)
    j = m["test"]["judge"]
    yield f"Judging: right in both orders {interval(j['right_in_both_orders'])}, the same side in both orders (so wrong once) {interval(j['same_side_in_both_orders'])}.\n"
    for task, s in m["sinks"].items():
        yield from sinks(f"{task}, first {s['tokens']} tokens", s)


def vlm(m):
    rows, texts, captions, absent = [], [], [], []
    for split in ("validation", "test"):
        for task, e in m[split].items():
            if task.startswith("existence"):
                rows.append([split, task.split("-")[1], interval(e["accuracy"]), interval(e["accuracy_on_absent"]), percent(e["precision"]),
                             percent(e["recall"]), percent(e["f1"]), percent(e["yes_ratio"]), e["accuracy"]["n"]])
            elif task.startswith("said"):
                absent.append([split, *(f"{interval(e[name])}, n = {e[name]['n']}" for name in ("inseparable", "usual", "other"))])
            elif task.startswith("caption"):
                captions.append([split, task.split("-")[1], interval(e["chair_i"]), interval(e["chair_s"]), interval(e["recall"]), e["chair_s"]["n"]])
            else:
                texts.append([split, task, interval(e["accuracy"]), e["accuracy"]["n"]])
    yield "### Existence (POPE)\n\nPercent with Wilson's 95 % interval.\n"
    yield table(["split", "negatives", "accuracy", "accuracy where absent", "precision", "recall", "F1", "says yes", "n"], rows)
    yield "Says yes where the kind is absent, by what that kind is to the picture (all questions of the three sets, each once):\n"
    yield table(["split", "missing companion, inseparable pair", "missing companion, other pair", "any other kind"], absent)
    yield "### Captions (CHAIR, greedy)\n"
    yield table(["split", "length", "CHAIR_I", "CHAIR_S", "recall of present kinds", "captions"], captions)
    yield "### Other questions\n"
    yield table(["split", "task", "accuracy", "n"], texts)
    yield from sinks(f"existence prompts, all {m['sinks']['tokens']} tokens", m["sinks"])


def sinks(what, s):
    yield f"### Sinks by layer ({what}, {s['samples']} samples)\n"
    keys = ["first_token_by_layer", "mean_attention_to_first_by_layer_and_head", "other_sinks_per_head_by_layer",
            "phi_first_by_layer", "phi_other_median_by_layer"]
    rows = []
    for layer, (first, heads, other, phi, rest) in enumerate(zip(*(s[key] for key in keys))):
        rows.append([layer, percent(first), " ".join(f"{h:.2f}" for h in heads), other, phi, rest])
    yield table(["layer", f"heads with α₀ > {s['epsilon']}, %", "mean α₀ by head", "other sinks (α > 0.1) a head", "φ of `<s>`", "median φ of others"], rows)


def curve(path):
    entries = [json.loads(line) for line in open(path)]
    losses = [e for e in entries if "loss" in e and "stage" not in e]
    names = list(dict.fromkeys(n for e in losses for n in e if n not in ("step", "seconds")))
    every = max(1, len(losses) // 12)
    chosen = losses[every - 1 :: every]
    if chosen[-1] is not losses[-1]:
        chosen.append(losses[-1])
    yield "### Training curve\n\nMeans over 100 steps; every entry is in `training-log.jsonl`.\n"
    yield table(["step", *names], [[e["step"], *(e.get(n, "") for n in names)] for e in chosen])


def main():
    folder, log = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    kept = os.path.join(folder, "training-log.jsonl")
    if log:
        shutil.copyfile(log, kept)
    m = json.load(open(os.path.join(folder, "measurements.json")))
    parts = list((vlm if "caption-long" in m["test"] else lm)(m)) + list(curve(kept))
    path = os.path.join(folder, "README.md")
    text = open(path).read()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    with open(path, "w") as file:
        file.write(before + "\n\n" + "\n".join(parts) + "\n" + after)


if __name__ == "__main__":
    main()
