"""Muon for the matrices inside a network, AdamW for everything else, in one optimiser.

Muon: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, https://kellerjordan.github.io/posts/muon/
(momentum, then the nearest matrix with equal singular values by five Newton–Schulz steps, coefficients from there); updates scaled
to the root mean square of AdamW's, 0.2 √max(rows, columns), so that both parts share one learning rate and decay:
Liu et al., "Muon is scalable for LLM training", 2025, arXiv 2502.16982, section 2.2.
"""

import torch

COEFFICIENTS = 3.4445, -4.7750, 2.0315
NEWTON_SCHULZ_STEPS = 5


def orthogonalised(matrices):
    """(N,rows,columns) to about UVᵀ of each one's singular value decomposition."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Parameters in `hidden` must be matrices; those in `rest` go to AdamW, and only their matrices are decayed."""

    def __init__(self, hidden, rest, lr, weight_decay=0.1, momentum=0.95, betas=(0.9, 0.98)):
        rest = list(rest)
        groups = [
            {"params": list(hidden), "muon": True, "weight_decay": weight_decay},
            {"params": [p for p in rest if p.dim() >= 2], "muon": False, "weight_decay": weight_decay},
            {"params": [p for p in rest if p.dim() < 2], "muon": False, "weight_decay": 0.0},
        ]
        super().__init__([g for g in groups if g["params"]], {"lr": lr, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            members = [p for p in group["params"] if p.grad is not None]
            torch._foreach_mul_(members, 1 - group["lr"] * group["weight_decay"])
            (self.muon if group["muon"] else self.adamw)(members, group)

    def muon(self, members, group):
        shapes = {}
        for p in members:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            state["momentum"].lerp_(p.grad, 1 - group["momentum"])
            ahead = p.grad.lerp(state["momentum"], group["momentum"])  # Nesterov
            shapes.setdefault(tuple(p.shape), []).append((p, ahead))
        for shape, pairs in shapes.items():
            updates = orthogonalised(torch.stack([ahead for _, ahead in pairs]))
            for (p, _), update in zip(pairs, updates):
                p.sub_(update, alpha=group["lr"] * 0.2 * max(shape) ** 0.5)

    def adamw(self, members, group):
        first, second = group["betas"]
        for p in members:
            state = self.state[p]
            if not state:
                state["mean"], state["square"], state["steps"] = torch.zeros_like(p), torch.zeros_like(p), 0
            state["steps"] += 1
            state["mean"].lerp_(p.grad, 1 - first)
            state["square"].mul_(second).addcmul_(p.grad, p.grad, value=1 - second)
            size = (state["square"] / (1 - second ** state["steps"])).sqrt_().add_(1e-8)
            p.addcdiv_(state["mean"], size, value=-group["lr"] / (1 - first ** state["steps"]))


def muon_of(module, lr):
    """Muon on the weights of linear layers inside blocks and projectors; embeddings, readers, convolutions, norms by AdamW."""
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    inside = lambda name, p: p.dim() == 2 and (".layers." in name or "projector" in name)
    return Muon([p for n, p in trained if inside(n, p)], [p for n, p in trained if not inside(n, p)], lr)
