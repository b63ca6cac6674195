"""What is left out is counted once, said of training and validation, known after a resumption."""

import csv
import logging

import pytest

from bindplug import BindplugError
from bindplug.training.data.tables import Bad
from bindplug.training.run import train


@pytest.fixture
def broken(world, tmp_path):
    """The training pairs and two whose sound is none, by one broken file."""
    sound = tmp_path / "broken.wav"
    sound.write_bytes(b"RIFF none")
    rows = list(csv.reader((world / "train.csv").open()))
    extra = [[str(world / "image" / "red" / "red0.png"), str(sound), "red"]] * 2
    table = tmp_path / "broken.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([*rows, *extra])
    return table


def test_a_message_counts_once():
    bad = Bad()
    for message in ("a", BindplugError("a"), "b"):
        bad.add(message)
    bad.recall(["b", "c"])
    assert bad.messages == ["a", "b", "c"]


def test_epochs_do_not_add_to_the_count(settings, broken, caplog):
    with caplog.at_level(logging.INFO, "bindplug"):
        [report] = train(settings(train_data=(str(broken),), steps=0, epochs=6.0), "cpu")
    assert report["steps"] == 12 and report["left out"] == 1
    said = [r.getMessage() for r in caplog.records if "could not be used" in r.getMessage()]
    assert len(said) == 1 and said[0].startswith("1 more of the training data")
    assert "broken.wav" in said[0]


def test_validation_says_what_it_leaves_out(settings, world, broken, caplog):
    table = broken.with_name("lacking.csv")
    table.write_text((world / "val.csv").read_text() + "absent.png,absent.wav,red\n")
    with caplog.at_level(logging.INFO, "bindplug"):
        [report] = train(settings(val_data=(str(table), str(broken)), steps=4), "cpu")
    assert report["left out"] == 0 and report["validation left out"] == 2
    said = " ".join(r.getMessage() for r in caplog.records)
    assert "1 of the validation data left out; the first: " in said and "absent.png" in said
    assert "1 more of the validation data could not be used" in said and "broken.wav" in said


def test_a_resumed_run_knows_the_count(settings, broken, train_interrupted):
    of = settings(train_data=(str(broken),), steps=9, save_seconds=0.0)
    assert train_interrupted(of, [8])["left out"] == 1
