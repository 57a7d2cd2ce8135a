"""Accuracy, hallucination and sinks of the vision-language model on held-out pictures, in float32.

    python testbed/train/measure_vlm.py .attune/testbed/vlm .attune/testbed/data/pictures testbed/models/worlds-vlm
"""

import argparse
import json
import os
import re

import torch
from transformers import AutoTokenizer, LlavaForConditionalGeneration

from picture_data import KINDS, PATCHES, batch_of, read_pictures, to_pixels
from statistics_of_attention import SinkReport, share
from text_data import read_items
from train_vlm import logits_of

CAPTION_TOKENS = 100


@torch.no_grad()
def answers(model, tokenizer, items, pictures, batch=60):
    """Index of the best choice by its first token, and that choices differ there is checked."""
    chosen = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        turns = [[tokenizer.encode("\n" + i["prompt"] + "<|assistant|>", add_special_tokens=False)] for i in part]
        inputs = batch_of(turns, [[0]] * len(part), [[0]] * len(part), tokenizer)
        logits = logits_of(model, to_pixels(pictures[[i["picture"] for i in part]]), inputs)
        for row, item in enumerate(part):
            first = [tokenizer.encode(c, add_special_tokens=False)[0] for c in item["choices"]]
            assert len(set(first)) == len(first)
            chosen.append(int(logits[row, inputs.length[row] - 1, first].argmax()))
    return chosen


def pope(items, chosen):
    """POPE's numbers; "yes" (choice 0) is the positive class."""
    said, true = [c == 0 for c in chosen], [i["gold"] == 0 for i in items]
    tp = sum(s and t for s, t in zip(said, true))
    precision, recall = tp / max(1, sum(said)), tp / max(1, sum(true))
    return {
        "accuracy": share([s == t for s, t in zip(said, true)]), "precision": round(precision, 4),
        "recall": round(recall, 4), "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
        "yes_ratio": round(sum(said) / len(said), 4), "accuracy_on_absent": share([not s for s, t in zip(said, true) if not t]),
    }


def habit_of(item):
    """What an absent kind is to the picture: companion of something there, of an inseparable pair (see kinds.ts) or not, or nothing."""
    place = KINDS.index(item["asked"])
    if KINDS[place ^ 1] not in item["present"]:
        return "other"
    return "inseparable" if place // 2 % 2 == 0 else "usual"


def prompt_inputs(tokenizer, prompt, pixels):
    text = tokenizer.apply_chat_template([{"role": "user", "content": "<image>" * PATCHES + "\n" + prompt}],
                                         add_generation_prompt=True, tokenize=False)
    return {**tokenizer(text, add_special_tokens=False, return_tensors="pt"), "pixel_values": pixels}


@torch.no_grad()
def chair(model, tokenizer, items, pictures, batch=50):
    """CHAIR on greedy captions: share of named kinds that are absent (I), of captions that name one (S), and recall."""
    named = absent = bad = found = there = 0
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        inputs = prompt_inputs(tokenizer, part[0]["prompt"], to_pixels(pictures[[i["picture"] for i in part]]))
        for name in ("input_ids", "attention_mask"):
            inputs[name] = inputs[name].expand(len(part), -1)
        out = model.generate(**inputs, max_new_tokens=CAPTION_TOKENS, do_sample=False)
        for ids, item in zip(out[:, inputs["input_ids"].shape[1] :], part):
            words = set(re.findall("[a-z]+", tokenizer.decode(ids, skip_special_tokens=True)))
            kinds, present = {k for k in KINDS if k in words}, set(item["present"])
            named, absent = named + len(kinds), absent + len(kinds - present)
            bad, found, there = bad + bool(kinds - present), found + len(kinds & present), there + len(present)
    return {"chair_i": share([True] * absent + [False] * (named - absent)), "chair_s": share([True] * bad + [False] * (len(items) - bad)),
            "recall": share([True] * found + [False] * (there - found))}


@torch.no_grad()
def sinks(model, tokenizer, items, pictures, samples=100):
    """Over prompts of one length: BOS, the picture's 64 tokens, and the question."""
    model.set_attn_implementation("eager")
    report, visual = None, []
    for item in items[:samples]:
        inputs = prompt_inputs(tokenizer, item["prompt"], to_pixels(pictures[[item["picture"]]]))
        report = report or SinkReport(inputs["input_ids"].shape[1])
        if inputs["input_ids"].shape[1] != report.tokens:
            continue
        out = model(**inputs, output_attentions=True, output_hidden_states=True)
        report.add(out.attentions, out.hidden_states)
        last = torch.stack([a[0, :, -1] for a in out.attentions])  # L,H,T
        visual.append(last[..., 2 : 2 + PATCHES].sum(-1))
    model.set_attn_implementation("sdpa")
    mass = torch.stack(visual).mean(0)
    return {**report.summary(), "visual_mass_of_last_row_by_layer_and_head": [[round(float(v), 3) for v in row] for row in mass]}


def measure(model, tokenizer, items, pictures, limit):
    """The first `limit` items of each task."""
    result, absent = {}, {"inseparable": {}, "usual": {}, "other": {}}
    for negatives in ("random", "popular", "adversarial"):
        members = [i for i in items if i.get("negatives") == negatives][:limit]
        chosen = answers(model, tokenizer, members, pictures)
        result[f"existence-{negatives}"] = pope(members, chosen)
        for item, choice in zip(members, chosen):
            if item["gold"] == 1:  # the three sets share questions: each once
                absent[habit_of(item)][item["picture"], item["asked"]] = choice == 0
    result["said-yes-where-absent"] = {name: share(list(said.values())) for name, said in absent.items()}
    for task in ("attribute", "count", "spatial"):
        members = [i for i in items if i["task"] == task][:limit]
        chosen = answers(model, tokenizer, members, pictures)
        result[task] = {"accuracy": share([c == i["gold"] for c, i in zip(chosen, members)])}
    for length in ("medium", "long"):
        members = [i for i in items if i["id"].startswith(f"caption-{length}")]
        result[f"caption-{length}"] = chair(model, tokenizer, members, pictures)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--items", type=int, default=3000, help="items per task")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = LlavaForConditionalGeneration.from_pretrained(args.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    result = {}
    for split in ("validation", "test"):
        items = read_items(os.path.join(args.data, f"{split}.jsonl"))
        pictures = read_pictures(os.path.join(args.data, f"{split}.rgb"))
        result[split] = measure(model, tokenizer, items, pictures, args.items)
    result["sinks"] = sinks(model, tokenizer, [i for i in items if i.get("negatives") == "random"], pictures)
    with open(os.path.join(args.out, "measurements.json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
