"""Token ids against the reference's, exact."""

import json

from bindplug.imagebind import TextConfig
from bindplug.transforms.text import Tokenizer, transform_text


def test_exact(golden):
    data = json.loads((golden / "imagebind_transforms" / "text_tokens.json").read_text())
    for case in data["cases"]:
        ids = transform_text([case["text"]], TextConfig())
        assert ids.tolist() == [case["ids"]], case["text"]
        assert ids.argmax(-1).item() == case["argmax"]


def test_smaller_vocabulary_keeps_the_first_merges():
    whole, small = Tokenizer(), Tokenizer(vocab_size=8194, context_length=16)
    text = "a photo of a saxophone, naïve 日本"
    ids = small.encode(text)
    assert max(ids) < 8192 and len(ids) > len(whole.encode(text))
    spell = {i: s for s, i in small.ids.items()}
    whole_spell = {i: s for s, i in whole.ids.items()}
    assert "".join(spell[i] for i in ids) == "".join(whole_spell[i] for i in whole.encode(text))
    batch = small(["dog", text * 9])
    assert batch.shape == (2, 16) and batch.argmax(-1).tolist()[1] == 15
    assert batch[1, 15] == small.end == 8193
