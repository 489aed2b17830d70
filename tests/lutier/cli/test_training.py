from __future__ import annotations

from typing import Any

import pytest

from devices.errors import InputError, UnknownNameError
from lutier.cli.main import main
from lutier.cli.training import training_config
from search.augment import CROP, Augmentation
from search.train_config import TrainConfig


def test_what_was_not_typed_keeps_its_default() -> None:
    untyped: dict[str, Any] = {"batch_size": None, "device": None, "mixed_precision": False}
    assert training_config("default", **untyped) == TrainConfig()


def test_what_was_typed_is_taken() -> None:
    config = training_config(
        "crop+flip", batch_size=8, learning_rate=0.5, max_seconds=60.0, average_decay=0.99
    )
    assert config == TrainConfig(
        batch_size=8,
        learning_rate=0.5,
        max_seconds=60.0,
        average_decay=0.99,
        augmentation=Augmentation(CROP, True),
    )


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown augmentation 'crops'"):
        training_config("crops")
    with pytest.raises(InputError, match="mixed precision on cpu"):
        training_config("none", mixed_precision=True)


WORDS = [
    *("search", "knas", "--target", "cpu/onnxruntime", "--space", "mobile-tiny"),
    *("--data", "digits", "--budget", "1ms", "--out", "out"),
]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--augment", "flop"], "unknown augmentation 'flop'. Try: flip"),
        (["--track", "tensorbord:x"], "unknown tracker 'tensorbord'. Try: tensorboard"),
        (["--mixed-precision"], "it is for CUDA devices"),
        (["--average-weights", "1"], "'--average-weights': 1.0 is not in the range"),
    ],
)
def test_a_wrong_option_ends_the_command_before_anything_is_opened(
    more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*WORDS, *more])
    assert end.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
