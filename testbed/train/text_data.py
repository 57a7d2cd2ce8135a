"""The text world's JSON lines as token ids, and batches of items of about one length."""

import json
from dataclasses import dataclass

import numpy as np
import torch

from tokenizer import ASSISTANT, BOS, EOS, USER

CHAT_SHARE = 0.3


def read_items(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


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
    turns = [[(item["prompt"], item["target"]), *((m["prompt"], m["target"]) for m in item.get("more", []))] for item in items]
    backend = tokenizer.backend_tokenizer
    coded = backend.encode_batch([text for turn in turns for pair in turn for text in pair], add_special_tokens=False)
    coded = iter([np.array(c.ids, dtype=np.int16) for c in coded])
    ids, kind, lengths = [], [], []
    for turn in turns:
        chat = bool(turn[0][0]) and rng.random() < CHAT_SHARE
        n = 1
        ids.append([bos])
        kind.append([1])
        for i, (prompt, _) in enumerate(turn):
            head, tail = next(coded), next(coded)
            before, after = ([user], [assistant]) if chat else (newline if i else [], [])
            end = [eos] if chat or i == len(turn) - 1 else []
            ids += [before, head, after, tail, end]
            plain = len(before) + len(head) + len(after)
            said = len(tail) + len(end)
            kind += [[1] * plain, [2 if prompt else 1] * said]
            n += plain + said
        lengths.append(n)
    return Encoded(
        np.concatenate([np.asarray(x, dtype=np.int16) for x in ids]),
        np.concatenate([np.asarray(x, dtype=np.int8) for x in kind]),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.array([item["task"] for item in items]),
    )


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
