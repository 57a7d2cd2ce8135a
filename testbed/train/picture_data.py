"""The picture world's files as tensors: pixels, conversations that share one picture, labels of places."""

from dataclasses import dataclass

import numpy as np
import torch

KINDS = "cup plate tree bird boat fish house flower car lamp sun cloud book pencil moon star".split()
COLOURS = "red green blue yellow purple orange white black".split()
SIZE, PATCH, PATCHES = 64, 8, 64

# The cell (of 3 × 3) that the middle of each patch lies in.
_middle = (np.arange(SIZE // PATCH) * PATCH + PATCH // 2) * 3 // SIZE
PLACES = (_middle[:, None] * 3 + _middle[None, :]).reshape(-1)


def read_pictures(path):
    """(N,64,64,3) bytes, mapped from disk."""
    return np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, SIZE, SIZE, 3)


def to_pixels(rgb):
    """(B,64,64,3) bytes to (B,3,64,64) in [−1, 1]: the preprocessor's mean and deviation of one half."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


@dataclass
class Batch:
    ids: torch.Tensor  # B,S
    positions: torch.Tensor  # B,S
    visible: torch.Tensor  # B,1,S,S bool
    answer: torch.Tensor  # B,S: 0 not an answer, 1 short answer, 2 caption
    length: list


def batch_of(turns, answer_from, kinds, tokenizer):
    """Rows `<s><|user|><image>×64` and after it one branch per turn; every branch goes on at the same position.

    A branch sees the prefix and itself. turns[b][i] are ids, answer_from[b][i] the index of its first answer token (0: none).
    """
    user, image = tokenizer.convert_tokens_to_ids(["<|user|>", "<image>"])
    prefix = [tokenizer.bos_token_id, user] + [image] * PATCHES
    P = len(prefix)
    length = [P + sum(map(len, branches)) for branches in turns]
    B, S = len(turns), max(length)
    ids = np.full((B, S), tokenizer.pad_token_id, dtype=np.int64)
    positions = np.zeros((B, S), dtype=np.int64)
    branch = np.full((B, S), -1, dtype=np.int64)  # −1 padding, 0 prefix, i + 1 branch
    answer = np.zeros((B, S), dtype=np.int64)
    ids[:, :P], positions[:, :P], branch[:, :P] = prefix, np.arange(P), 0
    for b, branches in enumerate(turns):
        at = P
        for i, tokens in enumerate(branches):
            end = at + len(tokens)
            ids[b, at:end], positions[b, at:end], branch[b, at:end] = tokens, P + np.arange(len(tokens)), i + 1
            if answer_from[b][i]:
                answer[b, at + answer_from[b][i] : end] = kinds[b][i]
            at = end
    causal = np.tril(np.ones((S, S), dtype=bool))
    same = (branch[:, :, None] == branch[:, None, :]) | (branch[:, None, :] == 0)
    visible = torch.from_numpy((causal & same)[:, None])
    return Batch(torch.from_numpy(ids), torch.from_numpy(positions), visible, torch.from_numpy(answer), length)


class Conversations:
    """All training conversations as ids, and the kind and colour (0: nothing) of each of the nine places."""

    def __init__(self, rows, tokenizer):
        self.tokenizer = tokenizer
        known = {}
        encode = lambda text: known.setdefault(text, tokenizer.encode(text, add_special_tokens=False))
        self.turns, self.answer_from, self.kinds = [], [], []
        self.labels = []
        for row in rows:
            self.labels.append(np.zeros((9, 2), dtype=np.int8))
            for thing in row["things"]:
                self.labels[-1][thing["cell"]] = KINDS.index(thing["kind"]) + 1, COLOURS.index(thing["colour"]) + 1
            heads = [encode("\n" + turn["prompt"] + "<|assistant|>") for turn in row["turns"]]
            tails = [tokenizer.encode(turn["target"], add_special_tokens=False) + [tokenizer.eos_token_id] for turn in row["turns"]]
            self.turns.append([np.array(h + t, dtype=np.int16) for h, t in zip(heads, tails)])
            self.answer_from.append([len(h) for h in heads])
            self.kinds.append([2 if len(t) > 3 else 1 for t in tails])
        self.labels = np.stack(self.labels)

    def batch(self, members):
        take = lambda column: [column[m] for m in members]
        return batch_of(take(self.turns), take(self.answer_from), take(self.kinds), self.tokenizer)
