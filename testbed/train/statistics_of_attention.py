"""Numbers with intervals, and what attention looks like: shared by both measuring programs."""

import math

import torch


def wilson(hits, n, z=1.96):
    """Share of hits with Wilson's 95 % interval."""
    if n == 0:
        return {"n": 0}
    p, z2 = hits / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return {"value": round(p, 4), "low": round(max(0.0, middle - half), 4), "high": round(min(1.0, middle + half), 4), "n": n}


def share(flags):
    return wilson(sum(flags), len(flags))


def column_means(attention):
    """[H,T,T] causal probabilities to [H,T]: mean attention that a key gets from the rows that can see it."""
    T = attention.shape[-1]
    return attention.sum(-2) / torch.arange(T, 0, -1)


def rms_peak(hidden):
    """[T,D] to [T]: the largest entry in units of the root mean square; at most √D."""
    return hidden.abs().amax(-1) / hidden.pow(2).mean(-1).add(1e-6).sqrt()


class SinkReport:
    """Collects alpha_k (mean attention to key k) and massive entries over samples of T tokens (sink metric, 2410.10781)."""

    def __init__(self, tokens, eps=0.3):
        self.tokens, self.eps, self.alpha, self.phi, self.channels = tokens, eps, [], [], []

    def add(self, attentions, hidden_states):
        """attentions: L tensors [1,H,T,T]; hidden_states: inputs of the layers, [1,T,D] each."""
        T = self.tokens
        self.alpha.append(torch.stack([column_means(a[0, :, :T, :T].float()) for a in attentions]))  # L,H,T
        layers = torch.stack([h[0, :T].float() for h in hidden_states[: len(attentions)]])  # L,T,D
        self.phi.append(rms_peak(layers))
        self.channels.append(layers[:, 0].abs().argmax(-1))

    def summary(self):
        alpha, phi = torch.stack(self.alpha), torch.stack(self.phi)  # N,L,H,T and N,L,T
        strong = (alpha > self.eps).float()
        near = self.tokens // 4 * 3  # late keys are seen by few rows; leave them out
        elsewhere = alpha[..., 1:near] > 0.1  # ACT's absolute threshold
        decimals = lambda x: [round(float(v), 3) for v in x]
        return {
            "samples": len(self.alpha), "tokens": self.tokens, "epsilon": self.eps,
            "first_token_by_layer": decimals(strong[..., 0].mean((0, 2))),
            "mean_attention_to_first_by_layer_and_head": [decimals(row) for row in alpha[..., 0].mean(0)],
            "other_sinks_per_head_by_layer": decimals(elsewhere.float().sum(-1).mean((0, 2))),
            "phi_first_by_layer": decimals(phi[..., 0].mean(0)),
            "phi_other_median_by_layer": decimals(phi[..., 1:].flatten(2).median(-1).values.mean(0)),
            "largest_channel_of_first_token_by_layer": torch.stack(self.channels).mode(0).values.tolist(),
        }
