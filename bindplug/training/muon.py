"""Muon in float32, equal shapes batched; torch.optim.Muon's bfloat16 is slow on many CPUs."""

from collections import defaultdict

import torch
from torch import Tensor


def orthogonalise(matrices: Tensor) -> Tensor:
    """(N, A, B) to nearly orthogonal matrices by five quintic Newton-Schulz steps.

    Source of the coefficients: K. Jordan et al., Muon, 2024.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalised, for the weight matrices of transformer blocks.

    Step = lr * 0.2 * sqrt(longer side) * orthogonalise(Nesterov momentum): of AdamW's size
    (arXiv 2502.16982), so that its learning rates carry over.
    """

    def __init__(self, params, lr: float, weight_decay: float = 0.1, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        """Update the parameters in place; `closure` is not used."""
        for group in self.param_groups:
            shapes = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[p.shape].append(p)
            for shape, params in shapes.items():
                momentum = [
                    self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in params
                ]
                grads = [p.grad for p in params]
                torch._foreach_lerp_(momentum, grads, 1 - group["momentum"])
                nesterov = torch._foreach_lerp(grads, momentum, group["momentum"])
                update = orthogonalise(torch.stack(nesterov))
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                size = -group["lr"] * 0.2 * max(shape) ** 0.5
                torch._foreach_add_(params, list(update), alpha=size)
