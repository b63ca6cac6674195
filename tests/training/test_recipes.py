"""The recipes in TOML that examples hold are ones that `bindplug train` takes."""

from pathlib import Path

import pytest
import torch

from bindplug import BindplugError
from bindplug.models.small.words import WordTable
from bindplug.models.towers.spec import parse_tower
from bindplug.training.data.augment import parse_augmentations
from bindplug.training.settings import read_settings

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = sorted(p for p in EXAMPLES.glob("*/*.toml") if p.name != "pyproject.toml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_settings(path):
    settings = read_settings({}, str(path))
    modalities = [parse_tower(text).modality for text in settings.tower]
    modalities += ["image", "text"] if settings.init else []
    assert settings.train_data and {"image"} < set(modalities)
    assert set(parse_augmentations(settings.aug, modalities)) <= set(modalities)


def test_the_words_trunk(monkeypatch, tmp_path):
    """Two words of one vector are told apart by what training adds to them alone."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "small"))
    import towers

    found = {"dog": 0, "cat": 1, "kitten": 1}
    table = torch.eye(3)[:2]
    fake = type("Packages", (), {"principal_vectors": staticmethod(lambda: (found, table))})
    monkeypatch.setattr(towers, "packages", lambda: fake)
    torch.manual_seed(0)
    (tmp_path / "words.txt").write_text("dog\ncat\npug\n")
    sizes = {"width": 4, "hidden": 5}
    trunk = towers.Words(pretrained=True, words=str(tmp_path / "words.txt"), **sizes)
    ids = torch.cat([trunk.transform("text", t)[0] for t in ("a dog", "Cat", "kitten", "dog cat")])
    assert ids.shape == (4, 32) and (ids > 0).sum(1).tolist() == [1, 1, 1, 2]
    rows = trunk(ids)
    assert rows.shape == (4, 9)
    assert torch.allclose(rows[1], rows[2]) and not torch.allclose(rows[0], rows[1])
    assert torch.allclose(rows[3, 5:], (rows[0, 5:] + rows[1, 5:]) / 2, atol=1e-6)
    with torch.no_grad():
        trunk.own.weight[1:] += torch.randn(3, 4)
    trained = trunk(ids)
    assert not torch.allclose(trained[1], rows[1]) and torch.equal(trained[2], rows[2])
    pug = trunk.transform("text", "pug")[0]  # a word that the table does not hold
    assert torch.equal((pug > 0).sum(1), torch.tensor([1])) and trunk(pug).abs().sum() > 0
    again = towers.Words(**trunk.skeleton("words", {"pretrained": True})[1])
    again.load_state_dict(trunk.state_dict())
    assert torch.allclose(again(again.transform("text", "kitten")[0]), trained[2:3], atol=1e-6)
    older = towers.Words(keys=3, rows=3, components=3, **sizes)  # a row of its own for each vector
    assert len(older.own.weight) == len(older.weights.weight) == 3
    with pytest.raises(BindplugError, match=r"words=runs/words\.txt"):
        towers.Words(pretrained=True)


def test_stand_ins(monkeypatch):
    """A word that no name holds takes the vector of its singular, of the name that its definition
    is nearest to, or of its last part."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "small"))
    from known_words import StandIns, plural, singulars

    assert [singulars(w)[0] for w in ("lions", "foxes", "ponies", "geese")] == [
        "lion", "fox", "pony", "goose",
    ]  # fmt: skip
    assert "wolf" in singulars("wolves") and "knife" in singulars("knives")
    assert singulars("glass") == singulars("gas") == []
    assert [plural(w) for w in ("lion", "fox", "pony", "monkey")] == [
        "lions", "foxes", "ponies", "monkeys",
    ]  # fmt: skip
    names = [
        "lion", "whale", "wolf", "drum", "kettle", "running shoes", "shoe", "horse", "a new vase",
        "bar", "sand", "vase", "fallen leaf", "doe",
    ]  # fmt: skip
    words = [
        "lions", "wolves", "shoes", "narwhal", "narwhals", "tin", "tins", "kettledrum", "horses",
        "hors", "vases", "vas", "leaves", "leave", "news", "sandbars", "sandbar", "taxis", "taxi",
        "does", "goods", "good",
    ]  # fmt: skip
    pairs = [
        ("narwhal", "an arctic whale"), ("tin", "a metal"), ("vas", "a metal"), ("taxi", "a metal"),
        ("sandbar", "a metal"), ("good", "a metal"),
    ]  # fmt: skip
    whale, other, metal = torch.eye(3)

    def embed(texts):
        of = {"whale": whale, "an arctic whale": whale, "a metal": metal, "narwhal": other}
        return torch.stack([of.get(text, other) for text in texts])

    own = {w for name in names for w in name.split()} | {"hors", "leave", "leaves", "taxi"}
    own |= {"sandbar", "vas", "shoes", "goods", "good"}
    found = StandIns(words, own, names, pairs).find(embed)
    assert {w: found.get(w) for w in words} == {
        "lions": "lion", "wolves": "wolf", "shoes": None, "narwhal": "whale", "narwhals": "whale",
        "tin": None, "tins": None, "kettledrum": "drum", "horses": "horse", "hors": None,
        "vases": "vase", "vas": None, "leaves": "leaf", "leave": None, "news": None,
        "sandbars": "sandbar", "sandbar": None, "taxis": "taxi", "taxi": None,
        "does": None, "goods": None, "good": None,
    }  # fmt: skip
    # Words that were not known before; of plurals, no plurals.
    assert found["kettledrums"] == "drum" and found["whales"] == "whale"
    assert "shoeses" not in found and "narwhalses" not in found


def test_a_class_counts_as_far_as_it_was_right_on_pictures(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "small"))
    from class_columns import PRIOR, SHARE, class_columns

    classifier, head = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 2, bias=False)
    classifier.weight.data = 100 * torch.eye(3)  # sure of whatever it sees
    head.weight.data = torch.tensor([[3.0, 0, 0], [0, 3, 4]])
    texts = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    # The first class is seen twice and right once, the second ten times and always wrong.
    features = torch.eye(3)[[0, 0] + [1] * 10]
    names = torch.tensor([[1.0, 0], [0, 1]] + [[1, 0]] * 10)
    columns = class_columns(head, classifier, texts, [(features, names)])
    trust = torch.tensor([(PRIOR + 1) / (PRIOR + 2), PRIOR / (PRIOR + 10), 1])
    assert torch.allclose(columns, SHARE * 3 * (texts * trust[:, None]).T)


def test_the_table_of_words(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "small"))
    from heads import word_table

    rows = {"lion": 3, "drum": 5, "lions": 9}
    arrays = word_table(rows, {"lions": "lion", "kettledrum": "drum"})
    table = WordTable(**{name: values.numpy() for name, values in arrays.items()})
    assert table("lion lions kettledrum drum tuba")[:5].tolist() == [3, 3, 5, 5, 0]
