"""POST /v1/explain: the words that prompts are nearest to."""

from ...bridge import READING, Target, choose_bridge
from ...embedding.modalities import MODALITIES
from ..fields import OPTION, RATE, VOCABULARY, Form, prompt_fields, top_k
from ..question import form_options, need_prompts, read_words

FIELDS = [*prompt_fields(MODALITIES), VOCABULARY, top_k(5, "Words of each."), OPTION, RATE]


async def explain(server, form: Form) -> list[dict]:
    """For each prompt its most probable words of a vocabulary; by default, of sounds, the words
    that sound."""
    need_prompts(form)
    engine, words = server.engine(), read_words(form["vocabulary"])
    parts = await engine.embed(form.prompts, form_options(form), form["rate"])

    def work() -> list[dict]:
        out = []
        for part in parts:
            bridge = choose_bridge(part, Target(READING), "words", words)
            heard = bridge.explain(part, top=form["top_k"])[0]
            out.append({"prompt": part.labels[0], "words": {w: float(p) for w, p in heard}})
        return out

    return await engine.run(work)
