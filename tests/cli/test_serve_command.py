"""Options of `bindplug serve` that are refused before a model is loaded."""

import pytest

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
LIMITS = ("--max-megabytes", "--max-megapixels", "--max-seconds", "--timeout", "--keep")


@pytest.mark.parametrize("option", LIMITS)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_limit_is_a_number(option, value, refused):
    refused("serve", option, value, words="no number to compare with")


@pytest.mark.parametrize("token", ["", "short", "a b"])
def test_a_token_of_the_environment_is_one_token(token, refused, monkeypatch):
    monkeypatch.setenv("BINDPLUG_TOKEN", token)
    refused("serve", words="needs 8 characters or more")
