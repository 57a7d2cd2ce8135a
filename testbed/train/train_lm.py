"""Train the testbed's language model (a small LlamaForCausalLM) on the text world.

    python testbed/train/train_lm.py --data .attune/testbed/data/text --out .attune/testbed/lm-before

The first half: continue_lm.py goes on from its weights.

Deterministic by seed up to the kernels' summation order; resumes from the last checkpoint; stop it whenever you like.
"""

import argparse
import os
from itertools import count, islice

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from schedule import Log, load_checkpoint, optimiser, save_checkpoint, set_lr
from text_data import batches, encode_items, read_items, stream_items
from tokenizer import train_tokenizer

PROMPT_WEIGHT = 0.3


def stage_of(step, ends):
    """0 recitals, 1 roll calls, 2 everything. Mixed with everything else from the start, copying had not appeared in
    1,100 steps; alone it takes about 400. Finding facts is the same story."""
    return sum(step >= end for end in ends)


def endless(data, stage, args, pad):
    """Batches of one stage, epoch after epoch."""
    keep = np.isin(data.task, [["recital"], ["roll"], np.unique(data.task)][stage])
    for epoch in count():
        yield from batches(data, args.tokens, np.random.default_rng([args.seed, stage, epoch]), pad, keep)


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


def loss_of(model, ids, kind, vocab):
    """Mean over answer tokens plus PROMPT_WEIGHT times the mean over prompt and story tokens; padding counts nothing.

    Padding is on the right and attention causal, so no mask is needed.
    """
    logits = model(input_ids=ids[:, :-1]).logits
    each = cross_entropy(logits.float().reshape(-1, vocab), ids[:, 1:].reshape(-1), reduction="none")
    kind = kind[:, 1:].reshape(-1)
    answer, prompt = each[kind == 2], each[kind == 1]
    mean = lambda x: x.mean() if x.numel() else x.sum()
    return mean(answer) + PROMPT_WEIGHT * mean(prompt), mean(answer), mean(prompt)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=".attune/testbed/data/text")
    parser.add_argument("--out", default=".attune/testbed/lm")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--stages", type=int, nargs=2, default=[550, 1300], help="steps at which stages 0 and 1 end")
    parser.add_argument("--tokens", type=int, default=3072, help="tokens per step")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--vocab", type=int, default=1280)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stop", type=int, default=None, help="stop after this step, to go on later")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    log = Log(os.path.join(args.out, "log.jsonl"))

    train = os.path.join(args.data, "train.jsonl")
    validation = read_items(os.path.join(args.data, "validation.jsonl"))
    if not os.path.exists(os.path.join(args.out, "tokenizer.json")):
        texts = (item["prompt"] + item["target"] for item in islice(stream_items(train), 60000))
        train_tokenizer(texts, args.vocab).save_pretrained(args.out)
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    data = encode_items(stream_items(train), tokenizer, args.seed)

    model = build_model(tokenizer)
    optimizer = optimiser(model, args.lr)
    checkpoint = os.path.join(args.out, "checkpoint.pt")
    step = load_checkpoint(checkpoint, model, optimizer)
    log(event="start", step=step, parameters=sum(p.numel() for p in model.parameters()), vocabulary=len(tokenizer),
        tokens=len(data.ids), items=len(data.lengths))

    running = np.zeros(3)
    streams = [endless(data, stage, args, tokenizer.pad_token_id) for stage in range(3)]
    # A resumed run draws the batches that it has had without computing them, so it sees what the first would have seen.
    for done in range(min(args.steps, args.stop or args.steps)):
        ids, kind = next(streams[stage_of(done, args.stages)])
        if done < step:
            continue
        set_lr(optimizer, step, args.steps, args.lr, warmup=200)
        with torch.autocast("cpu", torch.bfloat16):
            loss, answer, prompt = loss_of(model, ids, kind, len(tokenizer))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        running += np.array([loss.item(), answer.item(), prompt.item()])
        step += 1
        if step % 100 == 0:
            loss_, answer_, prompt_ = (round(float(x), 4) for x in running / 100)
            running[:] = 0
            log(step=step, loss=loss_, answer=answer_, prompt=prompt_)
        if step % 500 == 0 or step == args.steps:
            log(step=step, validation=accuracy(model, validation, tokenizer))
            save_checkpoint(checkpoint, model, optimizer, step)
    save_checkpoint(checkpoint, model, optimizer, step)
    model.save_pretrained(args.out)


if __name__ == "__main__":
    main()
