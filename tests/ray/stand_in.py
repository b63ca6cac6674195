"""A job whose actor is no network: it notes which rows it has worked on.

As a program: python stand_in.py OUTPUT NOTES SECONDS, 24 rows."""

import os
import sys
import time

import pyarrow as pa

from bindplug.ray.inputs import read_items
from bindplug.ray.job import Engine, Work, run_job

COUNT = 24


class StandIn:
    def __init__(self, notes: str, seconds: float, device: str, folder: str):
        self.notes, self.seconds = notes, seconds

    def __call__(self, inputs):
        values = [value for _, value in read_items(inputs)]
        if "poison" in values:
            os._exit(139)  # as a decoder that segfaults
        time.sleep(self.seconds * len(values))
        for value in values:
            open(f"{self.notes}/{value}-{os.getpid()}", "x").close()
        vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0] * 2 * len(values)), 2)
        errors = pa.nulls(len(values), pa.string())
        columns = {"index": inputs["index"], "vector": vectors, "error": errors}
        return pa.table({**columns, "worker": pa.array([os.getpid()] * len(values))})


def run(
    output,
    notes,
    seconds=0.0,
    values=range(COUNT),
    overwrite=False,
    actors=1,
    weights="known",
    **settings,
):
    arguments = {"notes": str(notes), "seconds": seconds}
    work = Work(StandIn, arguments, "vector", settings, [weights], rows_per_file=2)
    items = [("text", str(value)) for value in values]
    return run_job(work, items, output, Engine(actors, "cpu"), overwrite)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], float(sys.argv[3]), actors=2)
