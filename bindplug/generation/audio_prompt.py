"""Audio prompts: which part of a long recording counts, and several recordings mixed into one."""

from collections.abc import Sequence

import numpy as np

from ..embedding.vectors import Embedding
from ..errors import BindplugError, check_choice

WINDOWS = ("mean", "all", "most_confident")


def embed_audio_prompt(
    embedder, source, window: str = "mean", normalize: str | None = None, **options
) -> Embedding:
    """One embedding of a recording.

    Args:
        embedder: supports audio.
        source: path, file object, or (array, rate in Hz), as in `Embedder.embed`.
        window: which 2 s clips count: "mean", the mean of the reference's three, spread over the
            recording; "all", the mean of all; or "most_confident", the one whose likeliest word of
            the audio vocabulary has the highest probability.
        normalize: "none", or "peak": scaled to a peak of 0.9, so that loudness does not matter;
            None leaves it to the embedder.
        options: others of audio, as in `Embedder.embed`; `clips` with the window "mean" alone.

    Returns:
        (1, D).

    Raises BindplugError: an unknown window or normalization, or a recording that cannot be read."""
    window = str(window).replace("-", "_")
    check_choice("window", window, WINDOWS)
    if window != "mean" and "clips" in options:
        raise BindplugError(f"window {window!r} takes all clips; leave out the option clips")
    options |= {"audio": source}
    if normalize is not None:
        options["normalize"] = normalize
    if window == "mean":
        return embedder.embed(**options)
    if window == "all":
        return embedder.embed(**options, clips="all")
    from ..bridge import READING, Target, choose_bridge

    clips = embedder.embed(**options, clips="all", average=False)
    bridge = choose_bridge(clips, Target(READING), "words")
    probabilities = bridge.word_probabilities(clips)  # (clips, words)
    return clips[int(probabilities.max(axis=1).argmax())]


def mix_audio(sources: Sequence) -> tuple[np.ndarray, int]:
    """The mean of several recordings, each scaled to a peak of 0.9 and played from the start.

    Returns:
        (1, n) float32 samples as long as the longest recording, and their rate, the highest of the
        recordings' own, in Hz.

    Raises BindplugError: fewer than two recordings, or one that cannot be read."""
    from ..transforms.audio import PEAK
    from ..transforms.resampling import resample_array
    from ..transforms.sound_file import read_sound

    if len(sources) < 2:
        raise BindplugError("give two sounds or more to mix")
    loaded = [read_sound(s) for s in sources]
    rate = max(own for _, own in loaded)
    waves = [resample_array(wave, own, rate).mean(0) for wave, own in loaded]
    out = np.zeros(max(map(len, waves)), dtype=np.float32)
    for wave in waves:
        out[: len(wave)] += wave * (PEAK / max(float(np.abs(wave).max()), 1e-5)) / len(waves)
    return out[None], rate
