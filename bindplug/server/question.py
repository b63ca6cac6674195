"""What a request asks a detector: its prompts, negatives and vocabulary."""

from ..bridge import KINDS
from ..bridge.vocabulary import IMAGENET, SHIPPED, read_vocabulary
from ..detection.question import OWN, describe_question, negatives_of, vocabulary_prompt
from ..embedding.options import read_options
from ..embedding.vectors import Embedding, concatenate, mixed
from ..errors import BindplugError
from .engine import Engine
from .fields import Form, check_text

WORDS = 5000  # of a vocabulary that is sent
CLIPS = 1000
BRIDGES = (*KINDS, "crops")


def need_prompts(form: Form) -> None:
    if not form.prompts:
        raise BindplugError("give a prompt: audio, text, image, ...")


def form_options(form: Form, modalities=()) -> dict:
    """The transform options of a form's prompts, and of further modalities."""
    options = read_options(form["option"], {*modalities, *(m for m, _ in form.prompts)})
    clips = options.get("clips")
    if isinstance(clips, (int, float)) and clips > CLIPS:
        raise BindplugError(f"clips {clips}; give {CLIPS} or fewer")
    return options


async def question(engine: Engine, form: Form, prompts: list) -> tuple[Embedding | None, dict]:
    """The prompt, and what `PromptedDetector.detect` takes beside it; None is a video's sound."""
    detector, words = engine.need_detector(), read_words(form["vocabulary"])
    negatives = negatives_of(form)
    options = form_options(form, {m for m, _ in prompts + negatives})
    asked = form.values(("threshold", "top_k", "bridge", "competition"))
    if negatives:
        asked["negative"] = concatenate(await engine.embed(negatives, options, form["rate"]))
    if words is not None:
        asked["vocabulary"] = words
    if prompts:
        parts = await engine.embed(prompts, options, form["rate"])
        return (mixed(parts, form["mix"]) if form["mix"] else concatenate(parts)), asked
    if form["mix"]:
        raise BindplugError("mix: there are no prompts to mix")
    if form["video"] or not form["vocabulary"]:
        if not form["video"]:
            need_prompts(form)
        return None, asked
    asked["competition"] = asked["competition"] or "none"
    return await engine.run(vocabulary_prompt, engine.embedder, detector, words), asked


def describe(engine: Engine, form: Form, prompts: list, asked: dict) -> dict:
    """What the result was made from, as the command line records it."""
    negatives = negatives_of(form)
    options = form_options(form, {m for m, _ in prompts + negatives})
    return describe_question(
        engine.embedder, engine.detector, prompts, negatives, asked, mix=form["mix"],
        dtype=engine.models.dtype, options=options,
    )  # fmt: skip


def read_words(given: list[str]) -> list[str] | None:
    """The words of a vocabulary by its name, or as they were sent; None for none, or the
    checkpoint's own. No file of the server is read."""
    if not given or given == [OWN]:
        return None
    if len(given) == 1 and given[0] in (*SHIPPED, *IMAGENET):
        return read_vocabulary(given[0])
    words = list(dict.fromkeys(w.strip() for line in given for w in line.splitlines() if w.strip()))
    if len(words) < 2:
        known = ", ".join((*SHIPPED, *IMAGENET, OWN))
        raise BindplugError(
            f"no vocabulary {given[0][:50]!r}; choose {known}, or send two words or more"
        )
    return limited(words, WORDS, "vocabulary")


def limited(words: list[str], most: int, name: str) -> list[str]:
    """Words as they are. Raises BindplugError: too many, or one that is too long."""
    if len(words) > most:
        raise BindplugError(f"{name}: {len(words)} words; send {most} or fewer")
    return [check_text(name, word) for word in words]
