"""Accuracy and biases of the language model on held-out items, in float32.

    python testbed/train/measure_lm.py .attune/testbed/lm .attune/testbed/data/text testbed/models/worlds-lm
"""

import argparse
import json
import math
import os

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from statistics_of_attention import SinkReport, share
from text_data import read_items


@torch.no_grad()
def scores(model, tokenizer, items, batch=64):
    """Log-probability of each choice after the prompt; every choice is one token, and this is checked."""
    order = sorted(range(len(items)), key=lambda i: len(items[i]["prompt"]))
    out = [None] * len(items)
    for start in range(0, len(order), batch):
        members = order[start : start + batch]
        prompts = [tokenizer(items[i]["prompt"]).input_ids for i in members]
        width = max(map(len, prompts))
        ids = torch.tensor([p + [tokenizer.pad_token_id] * (width - len(p)) for p in prompts])
        logits = model(input_ids=ids).logits
        for row, i in enumerate(members):
            choices = [tokenizer.encode(c, add_special_tokens=False) for c in items[i]["choices"]]
            assert all(len(c) == 1 for c in choices), items[i]["choices"]
            out[i] = logits[row, len(prompts[row]) - 1].log_softmax(-1)[[c[0] for c in choices]].tolist()
    return out


@torch.no_grad()
def perplexity(model, tokenizer, items):
    total = count = 0
    for item in items:
        ids = torch.tensor([tokenizer(item["target"]).input_ids + [tokenizer.eos_token_id]])
        logp = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        total -= float(logp.gather(1, ids[0, 1:, None]).sum())
        count += ids.shape[1] - 1
    return round(math.exp(total / count), 4)


def measure(model, tokenizer, items):
    result = {}
    for task in ("sentiment", "topic", "choice", "documents", "judge"):
        members = [i for i in items if i["task"] == task]
        chosen = [max(range(len(s)), key=s.__getitem__) for s in scores(model, tokenizer, members)]
        hits = [c == i["gold"] for c, i in zip(chosen, members)]
        places = range(len(members[0]["choices"]))
        entry = {"chance": round(1 / len(places), 3), "accuracy": share(hits)}
        if task != "topic":
            entry["accuracy_by_gold_place"] = [share([h for h, i in zip(hits, members) if i["gold"] == p]) for p in places]
            entry["share_chosen_by_place"] = [round(sum(c == p for c in chosen) / len(chosen), 4) for p in places]
        if task == "judge":
            pairs = [(hits[i], hits[i + 1]) for i in range(0, len(hits) - 1, 2)]
            entry["right_in_both_orders"] = share([a and b for a, b in pairs])
            entry["same_side_in_both_orders"] = share([a != b for a, b in pairs])
        result[task] = entry
    result["story"] = {"perplexity": perplexity(model, tokenizer, [i for i in items if i["task"] == "story"][:500])}
    return result


@torch.no_grad()
def sinks(model, tokenizer, items, tokens=64, samples=100):
    model.set_attn_implementation("eager")
    reports = {}
    for task in ("documents", "story"):
        report = SinkReport(tokens)
        for item in items:
            ids = tokenizer(item["prompt"] + item["target"]).input_ids
            if item["task"] == task and len(ids) >= tokens and len(report.alpha) < samples:
                out = model(input_ids=torch.tensor([ids[:tokens]]), output_attentions=True, output_hidden_states=True)
                report.add(out.attentions, out.hidden_states)
        reports[task] = report.summary()
    model.set_attn_implementation("sdpa")
    return reports


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("data")
    parser.add_argument("out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = LlamaForCausalLM.from_pretrained(args.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    splits = {name: read_items(os.path.join(args.data, f"{name}.jsonl")) for name in ("validation", "test")}
    result = {name: measure(model, tokenizer, items) for name, items in splits.items()}
    result["sinks"] = sinks(model, tokenizer, splits["test"])
    with open(os.path.join(args.out, "measurements.json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
