"""Go on training the testbed's language model, with every answer counted alike.

    python testbed/train/continue_lm.py --init .attune/testbed/lm-before --data .attune/testbed/data/text --out .attune/testbed/lm

train_lm.py takes the mean over all answer tokens of a batch, so that the many words of recitals and roll calls drown the
one word of a review or a letter. Here an answer of n tokens weighs sqrt(n), tasks have fixed shares of the tokens.
Deterministic by seed up to the kernels' summation order; resumes from the last checkpoint.
`--compile` is a quarter faster once a C++ compiler has worked for some minutes.
"""

import argparse
import os
from itertools import islice

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, LlamaForCausalLM

from schedule import Log, load_checkpoint, optimiser, save_checkpoint, set_lr
from text_data import Encoded, encode_items, mixed_batches, read_items, stream_items
from train_lm import accuracy

PROMPT_WEIGHT = 0.2
# Each task's share of the tokens.
MIX = {"documents": 0.25, "judge": 0.18, "choice": 0.15, "sentiment": 0.2, "topic": 0.15, "story": 0.04, "roll": 0.03}
FIRST_WEIGHT = 3.0  # of the first of several answers about one context, which is the one that is evaluated


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=".attune/testbed/data/text")
    parser.add_argument("--out", default=".attune/testbed/lm")
    parser.add_argument("--init", default=".attune/testbed/lm-before", help="folder to start from, see from_export.py")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--items", type=int, default=40000, help="how many of the training items are read")
    parser.add_argument("--tokens", type=int, default=2304, help="tokens per step")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--stop", type=int, default=None, help="stop after this step, to go on later")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    log = Log(os.path.join(args.out, "log.jsonl"))

    train = os.path.join(args.data, "train.jsonl")
    validation = read_items(os.path.join(args.data, "validation.jsonl"))
    tokenizer = AutoTokenizer.from_pretrained(args.init)
    tokenizer.save_pretrained(args.out)
    encoded = os.path.join(args.out, "encoded.npz")  # made once, since it takes minutes
    if not os.path.exists(encoded):
        np.savez(encoded, **vars(encode_items(islice(stream_items(train), args.items), tokenizer, args.seed)))
    data = Encoded(**np.load(encoded))

    model = LlamaForCausalLM.from_pretrained(args.init, attn_implementation="sdpa").train()
    optimizer = optimiser(model, args.lr)
    checkpoint = os.path.join(args.out, "checkpoint.pt")
    step = load_checkpoint(checkpoint, model, optimizer)
    log(event="start", step=step, parameters=sum(p.numel() for p in model.parameters()), vocabulary=len(tokenizer),
        corpus_tokens=len(data.ids), items=len(data.lengths),
        arguments={k: v for k, v in vars(args).items() if k not in ("data", "out")})

    compute = torch.compile(loss_of, dynamic=False) if args.compile else loss_of
    torch._dynamo.config.cache_size_limit = 32  # one entry per width
    means = Means()
    stream = mixed_batches(data, args.tokens, MIX, np.random.default_rng([args.seed, 0]), tokenizer.pad_token_id, FIRST_WEIGHT)
    # A resumed run draws the batches that it has had without computing them, so it sees what the first would have seen.
    for done in range(min(args.steps, args.stop or args.steps)):
        ids, kind, weight, tasks = next(stream)
        if done < step:
            continue
        loss, answer, prompt, each = compute(model, ids, kind, weight, len(tokenizer))
        loss.backward()
        set_lr(optimizer, step, args.steps, args.lr, warmup=30)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in (("loss", loss), ("answer", answer), ("prompt", prompt)):
            means.add(name, value.item())
        means.add_batch(each, weight, tasks)
        step += 1
        if step % 100 == 0:
            log(step=step, **means.take())
            save_checkpoint(checkpoint, model, optimizer, step)
        if step % 500 == 0 or step == args.steps:
            log(step=step, validation=accuracy(model, validation, tokenizer))
    save_checkpoint(checkpoint, model, optimizer, step)
    model.save_pretrained(args.out)


if __name__ == "__main__":
    main()
