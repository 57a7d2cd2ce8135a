"""The picture world's files as tensors: pixels, conversations that share one picture, labels of places."""

from dataclasses import dataclass

import numpy as np
import torch

KINDS = "cup plate tree bird boat fish house flower car lamp sun cloud book pencil moon star".split()
COLOURS = "red green blue yellow purple orange white black".split()
SIZES = "big small".split()
ROWS = "top middle bottom".split()
COLUMNS = "left middle right".split()
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


def patch_labels(places):
    """(B,9,3) kind, colour and size at the places to (B,64,5): those that fill each patch, its row and its column; 0 is nothing."""
    at = np.stack([PLACES // 3 + 1, PLACES % 3 + 1], -1)
    filled = places[:, PLACES]
    both = np.concatenate([filled, np.broadcast_to(at, (*filled.shape[:2], 2))], -1)
    return torch.from_numpy(both.astype(np.int64))


@dataclass
class Batch:
    ids: torch.Tensor  # B,S
    positions: torch.Tensor  # B,S
    visible: torch.Tensor  # B,1,S,S bool
    answer: torch.Tensor  # B,S: 0 not an answer, 1 short answer, 2 caption, 3 answer about place or size
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
    """All training conversations as ids, and kind, colour and size (0: nothing) at each of the nine places."""

    def __init__(self, rows, tokenizer):
        self.tokenizer = tokenizer
        self.turns, self.answer_from, self.kinds, self.labels = [], [], [], []
        known = {}  # most questions come again and again
        for row in rows:
            self.labels.append(np.zeros((9, 3), dtype=np.int8))
            for thing in row["things"]:
                named = (KINDS, thing["kind"]), (COLOURS, thing["colour"]), (SIZES, thing["size"])
                self.labels[-1][thing["cell"]] = [1 + words.index(word) for words, word in named]
            for turn in row["turns"]:
                known.setdefault((turn["prompt"], turn["target"]), None)
            self.turns.append([(turn["prompt"], turn["target"]) for turn in row["turns"]])
        encode = lambda texts: tokenizer(texts, add_special_tokens=False).input_ids
        heads = encode(["\n" + prompt + "<|assistant|>" for prompt, _ in known])
        tails = [ids + [tokenizer.eos_token_id] for ids in encode([target for _, target in known])]
        for turn, head, tail in zip(known, heads, tails):
            sort = 2 if len(tail) > 4 else 3 if turn[0].startswith(("Where is", "Is the ")) else 1
            known[turn] = np.array(head + tail, dtype=np.int16), len(head), sort
        for i, turns in enumerate(self.turns):
            self.turns[i], answer_from, kinds = zip(*(known[turn] for turn in turns))
            self.answer_from.append(answer_from)
            self.kinds.append(kinds)
        self.labels = np.stack(self.labels)
        self.length = np.array([sum(map(len, turns)) for turns in self.turns])

    def alike(self, members, size, rng):
        """Members in batches of about equal length, in random order."""
        batches = members[np.argsort(self.length[members], kind="stable")].reshape(-1, size)
        return list(rng.permutation(batches))

    def batch(self, members):
        take = lambda column: [column[m] for m in members]
        return batch_of(take(self.turns), take(self.answer_from), take(self.kinds), self.tokenizer)
