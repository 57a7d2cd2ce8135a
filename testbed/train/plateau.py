"""A learning rate that stands still and then falls: the length of a run can be chosen while it is under way."""


def set_lr_plateau(optimizer, step, steps, peak, warmup, falling=0.3):
    """Linear warm-up, the peak, and over the last `falling` share of the steps a line down to a fiftieth of it.

    Before the fall nothing depends on `steps`, so that a run goes on from a checkpoint with another number of them
    ("warmup-stable-decay": Hu et al., MiniCPM, 2024, arXiv 2404.06395, section 4).
    """
    left = min(1.0, (steps - step) / (falling * steps))
    scale = min(1.0, (step + 1) / warmup) * max(0.02, left)
    for group in optimizer.param_groups:
        group["lr"] = peak * scale
