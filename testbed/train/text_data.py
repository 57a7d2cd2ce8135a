"""The text world's JSON lines as token ids, and batches of items of about one length."""

import json
from array import array
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from tokenizer import ASSISTANT, BOS, EOS, USER

CHAT_SHARE = 0.3


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
    start: np.ndarray  # where each item begins, and the end of the last
    task: np.ndarray  # str

    @property
    def lengths(self):
        return np.diff(self.start)


def encode_items(items, tokenizer, seed):
    """Three tenths of the items with an answer are wrapped in the chat template, the others are plain text.

    Further questions about the same documents follow the first answer on a new line (or as a further turn).
    """
    rng = np.random.default_rng(seed)
    user, assistant, bos, eos = tokenizer.convert_tokens_to_ids([USER, ASSISTANT, BOS, EOS])
    newline = tokenizer.encode("\n", add_special_tokens=False)
    backend = tokenizer.backend_tokenizer
    ids, kind, lengths, tasks = array("h"), array("b"), [0], []
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
                tail = [*next(coded).ids, *([eos] if chat or i == len(turn) - 1 else [])]
                ids.extend(head + tail)
                kind.extend([1] * (len(head) + (i == 0)) + [said] * len(tail))
            lengths.append(len(ids) - start)
            tasks.append(item["task"])
    return Encoded(np.array(ids), np.array(kind), np.cumsum(lengths), np.array(tasks))


def batches(data, tokens, rng, pad, keep):
    """One epoch over the items that the bool array `keep` marks: sorted by length within random pools, cut into batches of about `tokens` tokens, shuffled.

    Yields input ids (B,S) and kinds (B,S): 0 padding, 1 prompt or story, 2 answer.
    """
    lengths = data.lengths
    order = rng.permutation(np.flatnonzero(keep))
    plan = []
    for pool in np.array_split(order, max(1, len(order) // 8192)):
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        start = 0
        while start < len(pool):
            end = start + 1
            while end < len(pool) and lengths[pool[end]] * (end + 1 - start) <= tokens:
                end += 1
            plan.append(pool[start:end])
            start = end
    for i in rng.permutation(len(plan)):
        members = plan[i]
        ids = np.full((len(members), lengths[members].max()), pad, dtype=np.int64)
        kind = np.zeros(ids.shape, dtype=np.int64)
        for row, member in enumerate(members):
            here = slice(data.start[member], data.start[member + 1])
            ids[row, : lengths[member]] = data.ids[here]
            kind[row, : lengths[member]] = data.kind[here]
        yield torch.from_numpy(ids), torch.from_numpy(kind)
