"""The text world's JSON lines as token ids, and batches of items of about one length."""

import json
from array import array
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from tokenizer import ASSISTANT, BOS, EOS, USER

CHAT_SHARE = 0.3
END_WEIGHT = 0.05  # of the </s> after an answer, which is learned in no time
SEVERAL = ("choice", "documents", "judge")  # tasks with several questions about one context, in training
WIDTHS = (65, 97, 129, 161)  # one more than what the model gets, since the last id is only predicted


def stream_items(path):
    """One item at a time: the training files are large and the machine may be small."""
    with open(path) as file:
        for line in file:
            yield json.loads(line)


def read_items(path):
    return list(stream_items(path))


@dataclass
class Encoded:
    ids: np.ndarray  # int16, all items one after the other; each begins with <s> and ends with </s>
    kind: np.ndarray  # int8 beside it: 1 prompt or story, 2 answer
    weight: np.ndarray  # float16 beside it: of an answer token, 1 / sqrt(tokens of the answer); else 0
    start: np.ndarray  # where each item begins, and the end of the last
    task: np.ndarray  # str

    @property
    def lengths(self):
        return np.diff(self.start)


def encode_items(items, tokenizer, seed):
    """Three tenths of the items with an answer are wrapped in the chat template, the others are plain text.

    An answer of n tokens weighs sqrt(n) in all: were all tokens equal, the few hundred words of recitals would drown the
    single word of a review, and were all answers equal, a roll call of six would teach no more than one question.

    Further questions about the same documents follow the first answer on a new line (or as a further turn).
    """
    rng = np.random.default_rng(seed)
    user, assistant, bos, eos = tokenizer.convert_tokens_to_ids([USER, ASSISTANT, BOS, EOS])
    newline = tokenizer.encode("\n", add_special_tokens=False)
    backend = tokenizer.backend_tokenizer
    ids, kind, weight, lengths, tasks = array("h"), array("b"), array("f"), [0], []
    items = iter(items)
    while chunk := list(islice(items, 4096)):
        turns = [[item, *item.get("more", [])] for item in chunk]
        texts = [text for turn in turns for part in turn for text in (part["prompt"], part["target"])]
        coded = iter(backend.encode_batch(texts, add_special_tokens=False))
        for item, turn in zip(chunk, turns):
            chat = item["prompt"] != "" and rng.random() < CHAT_SHARE
            said = 2 if item["prompt"] else 1
            start = len(ids)
            ids.append(bos)
            for i in range(len(turn)):
                before, after = ([user], [assistant]) if chat else (newline if i else [], [])
                head = [*before, *next(coded).ids, *after]
                tail = next(coded).ids
                end = [eos] if chat or i == len(turn) - 1 else []
                ids.extend([*head, *tail, *end])
                weight.extend([0.0] * (len(head) + (i == 0)))
                weight.extend([len(tail) ** -0.5] * len(tail) + [END_WEIGHT] * len(end) if said == 2 else [0.0] * len(tail + end))
                kind.extend([1] * (len(head) + (i == 0)) + [said] * len(tail + end))
            lengths.append(len(ids) - start)
            tasks.append(item["task"])
    return Encoded(np.array(ids), np.array(kind), np.array(weight, dtype=np.float16), np.cumsum(lengths), np.array(tasks))


def endless(members, rng):
    """The members in random order, epoch after epoch."""
    while True:
        yield from rng.permutation(members)


def mixed_batches(data, tokens, shares, rng, pad, first_weight=1.0, widths=WIDTHS, pool=4096):
    """Endless batches of about `tokens` tokens. `shares` gives each task's share of the tokens.

    Pools of items are drawn, sorted by length, cut into batches whose width is one of a few (so that a compiled model
    meets few shapes), and the batches shuffled.

    The first answer of several weighs `first_weight` times as much as the others.

    Yields input ids (B,S), kinds (B,S): 0 padding, 1 prompt or story, 2 answer; weights (B,S) of the answer tokens; and
    the task of each item (B).
    """
    lengths = data.lengths
    members = {task: np.flatnonzero(data.task == task) for task in shares}
    share = np.array([shares[task] / lengths[m].mean() for task, m in members.items()])
    streams = [endless(m, rng) for m in members.values()]
    while True:
        drawn = np.array([next(streams[t]) for t in rng.choice(len(streams), pool, p=share / share.sum())])
        drawn = drawn[np.argsort(lengths[drawn], kind="stable")]
        plan, start = [], 0
        for width in widths:
            end = int(np.searchsorted(lengths[drawn], width, side="right"))
            rows = tokens // width
            # What does not fill a batch moves up to the next width.
            full = end - (end - start) % rows
            plan += [(width, drawn[i : i + rows]) for i in range(start, full, rows)]
            start = full
        for i in rng.permutation(len(plan)):
            width, items = plan[i]
            ids = np.full((len(items), width), pad, dtype=np.int64)
            kind = np.zeros(ids.shape, dtype=np.int64)
            weight = np.zeros(ids.shape, dtype=np.float32)
            for row, item in enumerate(items):
                here = slice(data.start[item], data.start[item + 1])
                ids[row, : lengths[item]] = data.ids[here]
                kind[row, : lengths[item]] = data.kind[here]
                weight[row, : lengths[item]] = data.weight[here]
                if data.task[item] in SEVERAL:
                    weight[row, np.argmax(weight[row] > 0)] *= first_weight
            yield torch.from_numpy(ids), torch.from_numpy(kind), torch.from_numpy(weight), data.task[items]
