"""Train the testbed's language model (a small LlamaForCausalLM) on the text world, from nothing.

    python testbed/train/train_lm.py --data .attune/testbed/data/text --out .attune/testbed/lm

Seven phases: copying, finding, letters, telling apart, judging, every task without its habits, every task with them. Deterministic by seed
up to the kernels' summation order; resumes from the last checkpoint; stop it whenever you like. `--compile` is a quarter faster
once a C++ compiler has worked for some minutes.
"""

import argparse
import math
import os
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from schedule import Log, load_checkpoint, optimiser, save_checkpoint
from text_data import Encoded, encode_items, mixed_batches, read_items, stream_items
from tokenizer import train_tokenizer

PROMPT_WEIGHT = 0.2


class Phase(NamedTuple):
    """`steps` steps; or until the mean loss of a task over 100 steps is below a bound, and an error after `steps`."""

    name: str
    file: str
    shares: dict  # of the tokens, by task
    steps: int
    until: tuple = None
    first_weight: float = 1.0  # of the first of several answers about one context, which is the one that is evaluated
    rate: float = 1.0  # of the peak


# Looking things up comes suddenly, after a long time on the plateau of guessing among what is there, and when is a matter
# of chance; so the phases that teach it last until it is there. Mixed from the start, copying had not appeared in 1,100
# steps; alone it takes some 500. With habits from the start, the model settled in the habit of letters and places and
# learned neither `choice` nor more than half of `documents`. Judging needs two people of
# one name told apart, which came at a lower rate.
PHASES = (
    Phase("copying", "exercises", {"recital": 1.0}, 2000, ("recital", 0.2)),
    Phase("finding", "exercises", {"recital": 0.1, "roll": 0.25, "choice": 0.35, "documents": 0.3}, 8000, ("documents", 1.0)),
    Phase("letters", "exercises", {"choice": 0.65, "documents": 0.2, "roll": 0.1, "recital": 0.05}, 5000, ("choice", 0.3), 3.0),
    Phase(
        "telling apart",
        "exercises",
        {"documents": 0.7, "choice": 0.15, "roll": 0.1, "recital": 0.05},
        4000,
        rate=0.4,
    ),
    Phase(
        "judging",
        "exercises",
        {"judge": 0.5, "documents": 0.2, "choice": 0.1, "sentiment": 0.08, "topic": 0.07, "roll": 0.03, "recital": 0.02},
        4000,
        ("judge", 0.25),
        3.0,
        0.4,
    ),
    Phase(
        "tasks",
        "exercises",
        {"documents": 0.3, "judge": 0.2, "choice": 0.15, "sentiment": 0.12, "topic": 0.1, "story": 0.05, "roll": 0.05, "recital": 0.03},
        1500,
        None,
        3.0,
        0.4,
    ),
    Phase(
        "habits",
        "train",
        {"documents": 0.3, "judge": 0.2, "choice": 0.2, "sentiment": 0.15, "topic": 0.1, "story": 0.05},
        1500,
        None,
        3.0,
        0.4,
    ),
)


FALLING = 2  # last phases, over which the rate falls


def build_model(tokenizer):
    """GQA with 4 query and 2 key-value heads of 32 (the fused operator wants a multiple of 16)."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=5,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=512,
            rope_theta=10000.0,
            rms_norm_eps=1e-5,
            initializer_range=0.06,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="sdpa",
        )
    )


def loss_of(model, ids, kind, weight, vocab):
    """Weighted mean over answer tokens plus PROMPT_WEIGHT times the mean over prompt and story tokens.

    Returns the loss, the two means, and the losses of the tokens (B,S-1). Padding counts nothing; it is on the right
    and attention causal, so no mask is needed.
    """
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    each = cross_entropy(logits.float().reshape(-1, vocab), ids[:, 1:].reshape(-1), reduction="none")
    each = each.view(ids.shape[0], -1)
    said, weight = (kind[:, 1:] == 1).float(), weight[:, 1:]
    answer = (each * weight).sum() / weight.sum().clamp(min=1.0)
    prompt = (each * said).sum() / said.sum().clamp(min=1.0)
    return answer + PROMPT_WEIGHT * prompt, answer, prompt, each.detach()


class Means:
    """Running means of the answer loss by task, and of the whole."""

    def __init__(self):
        self.sums = {}

    def add(self, name, value, count=1):
        total, n = self.sums.get(name, (0.0, 0))
        self.sums[name] = (total + value, n + count)

    def add_batch(self, each, weight, tasks):
        weight = weight[:, 1:]
        losses, counts = (each * weight).sum(1), weight.sum(1)
        for task in set(tasks) - {"story"}:
            here = torch.from_numpy(tasks == task)
            self.add(task, float(losses[here].sum()), float(counts[here].sum()))

    def take(self):
        result = {name: round(total / n, 4) for name, (total, n) in self.sums.items()}
        self.sums = {}
        return result


@torch.no_grad()
def accuracy(model, items, tokenizer, per_task=250):
    """Share of items whose best choice by its first token is the right one; by task, and by place for documents."""
    model.eval()
    groups = {}
    for item in items:
        if item["choices"]:
            groups.setdefault(item["task"], []).append(item)
    result = {}
    for task, members in sorted(groups.items()):
        hits = {}
        members = sorted(members[:per_task], key=lambda item: len(item["prompt"]))
        for start in range(0, len(members), 50):
            part = members[start : start + 50]
            encoded = [tokenizer(item["prompt"]).input_ids for item in part]
            width = max(map(len, encoded))
            ids = torch.tensor([x + [0] * (width - len(x)) for x in encoded])
            logits = model(input_ids=ids).logits
            for row, (item, x) in enumerate(zip(part, encoded)):
                first = [tokenizer(c, add_special_tokens=False).input_ids[0] for c in item["choices"]]
                hit = int(logits[row, len(x) - 1, first].argmax()) == item["gold"]
                hits.setdefault("all", []).append(hit)
                if task in ("documents", "choice", "judge"):
                    hits.setdefault(item["goldPosition"], []).append(hit)
        result[task] = {str(k): round(float(np.mean(v)), 3) for k, v in sorted(hits.items(), key=lambda e: str(e[0]))}
    model.train()
    return result


def encoded_items(name, args, tokenizer):
    """The items of a file as token ids; made once, since it takes minutes."""
    path = os.path.join(args.out, f"{name}.npz")
    if not os.path.exists(path):
        items = stream_items(os.path.join(args.data, f"{name}.jsonl"))
        np.savez(path, **vars(encode_items(items, tokenizer, args.seed)))
    return Encoded(**np.load(path))


def rate(phase, done, peak):
    """Constant in a phase, after the warm-up; over the last phases half a cosine to a twentieth."""
    first = len(PHASES) - FALLING
    before = sum(p.steps for p in PHASES[first:phase])
    progress = (before + done) / sum(p.steps for p in PHASES[first:]) if phase >= first else 0.0
    warm = min(1.0, (done + 1) / 100) if phase == 0 else 1.0
    return peak * PHASES[phase].rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=".attune/testbed/data/text")
    parser.add_argument("--out", default=".attune/testbed/lm")
    parser.add_argument("--tokens", type=int, default=2304, help="tokens per step")
    parser.add_argument("--lr", type=float, default=2.5e-3)
    parser.add_argument("--vocab", type=int, default=1280)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--stop", type=int, default=None, help="stop after this step, to go on later")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    log = Log(os.path.join(args.out, "log.jsonl"))

    validation = read_items(os.path.join(args.data, "validation.jsonl"))
    if not os.path.exists(os.path.join(args.out, "tokenizer.json")):
        items = islice(stream_items(os.path.join(args.data, "exercises.jsonl")), 60000)
        train_tokenizer((item["prompt"] + item["target"] for item in items), args.vocab).save_pretrained(args.out)
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    data = {file: encoded_items(file, args, tokenizer) for file in ("exercises", "train")}

    model = build_model(tokenizer).train()
    optimizer = optimiser(model, args.lr)
    checkpoint = os.path.join(args.out, "checkpoint.pt")
    # Phase, steps done in it, steps in all. A resumed run draws the batches that its phase has had without computing
    # them, so it sees what an uninterrupted one would have seen.
    phase, done, step = load_checkpoint(checkpoint, model, optimizer) or (0, 0, 0)
    log(event="start", step=step, parameters=sum(p.numel() for p in model.parameters()), vocabulary=len(tokenizer),
        corpus_tokens=sum(len(d.ids) for d in data.values()), items=sum(len(d.lengths) for d in data.values()),
        arguments={k: v for k, v in vars(args).items() if k not in ("data", "out")})

    compute = torch.compile(loss_of, dynamic=False) if args.compile else loss_of
    for phase in range(phase, len(PHASES)):
        name, file, shares, most, until, first_weight, _ = PHASES[phase]
        rng = np.random.default_rng([args.seed, phase])
        batches = mixed_batches(data[file], args.tokens, shares, rng, tokenizer.pad_token_id, first_weight)
        learned, means = False, Means()
        for ids, kind, weight, tasks in islice(batches, done, most):
            loss, answer, prompt, each = compute(model, ids, kind, weight, len(tokenizer))
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = rate(phase, done, args.lr)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            for key, value in (("loss", loss), ("answer", answer), ("prompt", prompt)):
                means.add(key, value.item())
            means.add_batch(each, weight, tasks)
            done, step = done + 1, step + 1
            if done % 100 == 0:
                taken = means.take()
                log(step=step, phase=name, **taken)
                learned = until is not None and taken[until[0]] < until[1]
                save_checkpoint(checkpoint, model, optimizer, (phase, done, step))
            if step % 1000 == 0:
                log(step=step, validation=accuracy(model, validation, tokenizer))
            if learned or step == args.stop:
                break
        if step == args.stop:
            break
        if until is not None and not learned:
            raise SystemExit(f"{name}: the loss of {until[0]} is not below {until[1]} after {most} steps; try another --seed")
        done = 0
        save_checkpoint(checkpoint, model, optimizer, (phase + 1, 0, step))
    model.save_pretrained(args.out)


if __name__ == "__main__":
    main()
