"""Options of `bindplug serve` that are refused before a model is loaded."""

import pytest

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
LIMITS = ("--max-megabytes", "--max-megapixels", "--max-seconds", "--timeout", "--keep")


@pytest.mark.parametrize("option", LIMITS)
def test_a_limit_has_an_end(option, refused):
    refused("serve", option, "nan", words="not a finite number")
    for value in ("inf", "1e305"):
        refused("serve", option, value, words="is not in the range")


@pytest.mark.parametrize(
    ("token", "words"),
    [("", "8 characters or more"), (" \n", "8 characters or more"), ("a b", "8 characters or more"),
     ("tab\tinside it", "printable ASCII"), ("gr\xfcn-gr\xfcn", "printable ASCII")],
)  # fmt: skip
def test_a_token_of_the_environment_is_one_token(token, words, refused, monkeypatch):
    monkeypatch.setenv("BINDPLUG_TOKEN", token)
    refused("serve", words=words)
    refused("serve", "--browser", "x", words=words)
