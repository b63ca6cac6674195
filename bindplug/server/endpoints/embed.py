"""POST /v1/embed: unit vectors."""

import asyncio
import io

import numpy as np
from starlette.responses import Response

from ...embedding.modalities import MODALITIES
from ...embedding.vectors import concatenate, mixed
from ..fields import MIX, OPTION, RATE, Field, Form, prompt_fields
from ..question import form_options, need_prompts

FORMATS = ("json", "npy")
FIELDS = [
    *prompt_fields(MODALITIES),
    MIX,
    OPTION,
    RATE,
    Field("format", "word", "json, or npy: the (N, D) float32 array alone.", default="json",
          choices=FORMATS),
]  # fmt: skip


async def embed(server, form: Form):
    """One unit row for each input, in the order given; with `mix` their sum alone."""
    need_prompts(form)
    engine = server.engine()
    parts = await engine.embed(form.prompts, form_options(form), form["rate"])

    def work():
        out = mixed(parts, form["mix"]) if form["mix"] else concatenate(parts)
        if form["format"] == "npy":
            file = io.BytesIO()
            np.save(file, out.vectors, allow_pickle=False)
            return Response(file.getvalue(), media_type="application/octet-stream")
        rows = [[round(float(v), 6) for v in row] for row in out.vectors]
        return {"space": out.space, "labels": list(out.labels), "vectors": rows}

    return await asyncio.to_thread(work)
