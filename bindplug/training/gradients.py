"""Gradients of a contrastive loss whose batch is larger than memory, or spread over processes.

GradCache (Gao et al., arXiv 2101.06983): the batch is embedded in chunks without gradients; the
loss gives the gradient of every embedding; then each chunk is embedded once more and these
gradients go back through it. The result is that of the whole batch at once, since the loss depends
on the parameters through the embeddings alone. With one chunk, nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .processes import Processes

Batch = dict[str, Tensor]  # of each modality, (B, ...) clips or features
Embed = Callable[[Batch], Batch]  # to (B, D) unit vectors


def backward(
    embed: Embed,
    batch: Batch,
    loss_of: Callable[[Batch], Tensor],
    loss_parameters: list[nn.Parameter],
    parameters: list[nn.Parameter],
    chunks: int = 1,
    processes: Processes | None = None,
    seed: int = 0,
) -> tuple[float, Batch]:
    """Fill `.grad` of all parameters with the gradient of the loss of the whole batch.

    Args:
        embed: this process's rows to embeddings; its dropout may be drawn from torch's default
            generator, which is seeded for each chunk.
        batch: this process's rows; every process has as many.
        loss_of: embeddings of the whole batch, of all processes, to a scalar.
        loss_parameters: of the loss itself, such as a temperature.
        parameters: of what embeds.
        chunks: parts that the rows are embedded in.
        seed: of this step.

    Returns:
        The loss, and the whole batch's embeddings.
    """
    processes = processes or Processes()
    parts = _split(batch, chunks)

    def embedded(i: int) -> Batch:
        torch.manual_seed(seed + 7919 * (i + len(parts) * processes.rank))
        return embed(parts[i])

    if len(parts) == 1:
        outputs = [embedded(0)]
    else:
        with torch.no_grad():
            outputs = [embedded(i) for i in range(len(parts))]
    own = {m: torch.cat([out[m].detach() for out in outputs]) for m in outputs[0]}
    leaves = {m: processes.gather(x).requires_grad_() for m, x in own.items()}
    loss = loss_of(leaves)
    loss.backward()
    for p in loss_parameters:  # every process computed all of it, and gradients are added up
        if p.grad is not None:
            p.grad /= processes.count
    rows = processes.share(len(next(iter(leaves.values()))))
    grads = {m: x.grad[rows] for m, x in leaves.items() if x.grad is not None}
    size = 0
    for i in range(len(parts)):
        out = outputs[0] if len(parts) == 1 else embedded(i)
        count = len(next(iter(out.values())))
        pairs = [
            (x, grads[m][size : size + count])
            for m, x in out.items() if m in grads and x.requires_grad
        ]  # fmt: skip
        if pairs:
            torch.autograd.backward(*zip(*pairs, strict=True))
        size += count
    processes.sum_gradients([p for p in [*loss_parameters, *parameters] if p.requires_grad])
    return float(loss.detach()), {m: x.detach() for m, x in leaves.items()}


def _split(batch: Batch, chunks: int) -> list[Batch]:
    """The rows of a batch in as many parts, of about equal size; fewer of a small batch."""
    rows = len(next(iter(batch.values())))
    sizes = [len(x) for x in torch.arange(rows).chunk(min(chunks, rows))]
    parts = {m: x.split(sizes) for m, x in batch.items()}
    return [{m: x[i] for m, x in parts.items()} for i in range(len(sizes))]
