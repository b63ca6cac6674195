"""Fields bear the command line's names, meanings and defaults; bad ones end in one clear line."""

from importlib import import_module

import click
import pytest

from bindplug.cli.options import Once
from bindplug.errors import BindplugError
from bindplug.server.app import ENDPOINTS
from bindplug.server.fields import Field, Form
from bindplug.server.settings import Limits
from bindplug.server.uploads import Upload

OWN = {  # fields of the server alone, by path
    "embed": {"format", "mix", "rate"},
    "detect": {"rate", "inline", "stream"},
    "generate": {"inline", "stream", "show_candidates"},
    "classify": {"rate", "audio", "text", "image", "video", "depth", "thermal", "imu"},
    "explain": {"rate"},
}
NAMES = {"transform_options": "option", "templates": "template", "beside": "prompt"}


def params_of(path: str) -> dict:
    """The options of the command that an endpoint answers for, by the fields' names."""
    name = path.rpartition("/")[2]
    if name == "explain":
        command = import_module("bindplug.cli.bridge").explain
    else:
        command = getattr(import_module(f"bindplug.cli.{name}"), name)
    # generate keeps the value of --negative-prompt under another name
    names = NAMES | ({"negative_text": "negative_prompt"} if name == "generate" else {})
    return {names.get(p.name, p.name): p for p in command.params}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_names_are_those_of_the_command_line(path):
    known = params_of(path)
    for field in ENDPOINTS[path][1]:
        if field.name in OWN[path.rpartition("/")[2]]:
            assert field.name not in known or field.prompt
            continue
        assert field.name in known, field.name
        param = known[field.name]
        switch = isinstance(param, click.Option) and param.is_flag
        assert (field.kind == "switch") == switch or field.name in ("overlay", "coco"), field.name
        # Whether an option may be repeated; --vocabulary takes a file in place of several words.
        several = param.nargs != 1 or (param.multiple and not isinstance(param, Once))
        assert field.many == several or field.name in ("vocabulary", "labels", "examples")
        if field.kind in ("whole", "number") and (path, field.name) != ("/v1/classify", "top_k"):
            default = param.default if isinstance(param.default, (int, float)) else None
            assert field.default == default, field.name


def test_every_option_of_detect_and_generate_has_its_field():
    local = {"model", "split", "offline", "detector", "weights", "masks", "dtype", "device",
             "json_file", "label_studio", "yolo", "output", "overwrite", "resume", "keep_going",
             "batch_size", "generator", "offload", "bank", "like", "engine", "actors"}  # fmt: skip
    for path in ("/v1/detect", "/v1/generate"):
        fields = {field.name for field in ENDPOINTS[path][1]}
        assert set(params_of(path)) - local <= fields, path


TABLE = [
    Field("audio", "file", "", many=True, prompt=True),
    Field("text", "text", "", many=True, prompt=True),
    Field("mix", "numbers", "", many=True),
    Field("seed", "whole", "", default=0, least=0, most=2**63),
    Field("threshold", "number", "", least=0, most=1),
    Field("overlay", "switch", "", default=False),
    Field("bridge", "word", "", choices=("linear", "words")),
    Field("vocabulary", "words", "", many=True),
    Field("option", "word", "", many=True),
]


def test_values():
    sound = Upload(b"x", "a.wav")
    form = Form(TABLE, [
        ("text", "a dog"), ("audio", sound), ("text", "a cat"), ("mix", "0.7,0.3"), ("mix", -1),
        ("seed", "9223372036854775807"), ("threshold", "1e-3"), ("overlay", "on"),
        ("vocabulary", "cat"), ("vocabulary", Upload(b"dog\ncow\n", "w.txt")),
        ("option", {"clips": "all", "upright": True}), ("option", "channel=mix"),
    ], Limits())  # fmt: skip
    assert form.prompts == [("text", "a dog"), ("audio", sound), ("text", "a cat")]
    assert form["mix"] == [0.7, 0.3, -1] and form["seed"] == 2**63 - 1
    assert form["threshold"] == 1e-3 and form["overlay"] is True and form["bridge"] is None
    assert form["vocabulary"] == ["cat", "dog", "cow"]
    assert form["option"] == ["clips=all", "upright=true", "channel=mix"]


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("audioo", "x"), "no field 'audioo'; there are: audio, text"),
        (("audio", "/etc/passwd"), "paths of the server are not read"),
        (("audio", "dog.wav"), "paths of the server are not read"),
        (("audio", {"data": 3}), "send a file"),
        (("text", 3), "give a text"),
        (("text", Upload(b"", "a")), "takes a value, not a file"),
        (("seed", "1.5"), "give a whole number"),
        (("seed", 1.5), "give a whole number"),
        (("seed", True), "give a whole number"),
        (("seed", -1), "give a number from 0"),
        (("threshold", "nan"), "give a number from 0 to 1"),
        (("threshold", 1e400), "give a number from 0 to 1"),
        (("mix", "0.7;0.3"), "give a number"),
        (("mix", "inf"), "give a number"),
        (("overlay", "perhaps"), "give true or false"),
        (("bridge", "../x"), "give linear, words"),
        (("option", "a\nb"), "one line"),
        (("vocabulary", Upload(b"\xff\xfe\xff", "w.txt")), "is not UTF-8 text"),
    ],
)
def test_bad_values(pair, words):
    with pytest.raises(BindplugError) as caught:
        Form(TABLE, [pair], Limits())
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_may_be_given_once():
    with pytest.raises(BindplugError, match="seed: may be given once"):
        Form(TABLE, [("seed", 1), ("seed", 2)], Limits())


@pytest.mark.parametrize(
    ("given", "name", "folder"),
    [
        ("../../etc/passwd", "passwd", "etc"),
        ("C:\\sounds\\dog.wav", "dog.wav", "sounds"),
        ("dog/1.wav", "1.wav", "dog"),
        ("a\r\nSet-Cookie: x.wav", "aSet-Cookie: x.wav", ""),
        ("..", "file", ""),
        ("", "file", ""),
        ("x" * 5000 + ".wav", "x" * 196 + ".wav", ""),
        ("犬" * 100 + ".wav", "犬" * 65 + ".wav", ""),  # 3 bytes each, of which none is halved
    ],
)
def test_names_of_uploads_are_no_paths(given, name, folder):
    upload = Upload(b"", given)
    assert (upload.name, upload.folder) == (name, folder)
