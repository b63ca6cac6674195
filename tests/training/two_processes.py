"""Started twice by test_gradients.py: saves the gradients of this process's half of a batch."""

import sys

import torch
from test_gradients import ROWS, batch_of, gradients_of, make_binder

from bindplug.training.processes import end_processes, start_processes

processes, _ = start_processes("cpu")
whole = batch_of(ROWS)
own = {m: x[processes.share(ROWS)] for m, x in whole.items()}
loss, grads = gradients_of(make_binder(), own, int(sys.argv[2]), processes, learnt=True)
if processes.is_first:
    torch.save({"loss": loss, **grads}, sys.argv[1])
end_processes()
