from __future__ import annotations

from itertools import pairwise

from lutier.cli.farm import words_again
from lutier.cli.profiling import profile


def again(words: list[str]) -> list[str]:
    return words_again(profile.make_context("profile", ["--device", "android:all", *words]))


def test_what_was_said_is_said_again_but_for_the_device() -> None:
    said = ["--space", "mobile-tiny", "--networks", "0", "--time-limit", "0.0", "--strict"]
    words = again([*said, "--op", "a", "--op", "b"])
    assert words[0] == "profile"
    assert "android:all" not in words
    pairs = list(pairwise(words))
    for pair in (("--space", "mobile-tiny"), ("--networks", "0"), ("--time-limit", "0.0")):
        assert pair in pairs
    assert [value for name, value in pairs if name == "--op"] == ["a", "b"]
    assert "--strict" in words


def test_what_was_not_said_is_left_out() -> None:
    words = again(["--op", "a"])
    for name in ("--networks", "--cores", "--seed", "--json", "--retry-failed", "--space"):
        assert name not in words
