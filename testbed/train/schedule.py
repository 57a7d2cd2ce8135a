"""Optimiser, learning-rate schedule, checkpoints and log: what both training programs share."""

import json
import math
import os
import time

import torch


def optimiser(model, lr, weight_decay=0.1):
    """AdamW; norms and biases are not decayed."""
    decay = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    rest = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), foreach=True)


def set_lr(optimizer, step, steps, peak, warmup):
    """Linear warm-up, then half a cosine down to a twentieth of the peak."""
    progress = min(1.0, max(0.0, (step - warmup) / max(1, steps - warmup)))
    scale = min(1.0, (step + 1) / warmup) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))
    for group in optimizer.param_groups:
        group["lr"] = peak * scale


def save_checkpoint(path, model, optimizer, step):
    """Written beside and renamed, so that an interruption never leaves half a file."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, path + ".new")
    os.replace(path + ".new", path)


def load_checkpoint(path, model, optimizer):
    """The step to go on from; 0 without a checkpoint."""
    if not os.path.exists(path):
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


class Log:
    """A JSON line per entry in a file, the same on the screen."""

    def __init__(self, path):
        self.path, self.start = path, time.time()

    def __call__(self, **entry):
        entry["seconds"] = round(time.time() - self.start, 1)
        line = json.dumps(entry)
        print(line, flush=True)
        with open(self.path, "a") as file:
            file.write(line + "\n")
