"""Options of training networks, and where its course can be watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

from lutier.cli.completers import complete_data

if TYPE_CHECKING:
    from search.train_config import TrainConfig

data_option = click.option(
    "--data",
    required=True,
    metavar="DATA",
    help=(
        "Data to train on: digits, fashion-mnist:DIR, cifar10:DIR (binary version) or"
        " imagefolder:DIR (PNG and JPEG, a folder a class; with ?skip_corrupt=1 behind it, files"
        " that cannot be read are left out)."
    ),
    shell_complete=complete_data,
)

_OPTIONS = (
    click.option(
        "--train-epochs",
        type=click.IntRange(min=1),
        default=12,
        show_default=True,
        help="Epochs of training from scratch.",
    ),
    click.option(
        "--train-seconds",
        "max_seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="End each training from scratch after this time, if its epochs take longer.",
    ),
    click.option(
        "--train-batch",
        "batch_size",
        type=click.IntRange(min=1),
        help="Images a step. [dim]\\[default: 64][/dim]",
    ),
    click.option(
        "--train-rate",
        "learning_rate",
        type=click.FloatRange(min=0, min_open=True),
        help="Learning rate of training from scratch, at its peak. [dim]\\[default: 0.1][/dim]",
    ),
    click.option(
        "--label-smoothing",
        type=click.FloatRange(min=0, max=1, max_open=True),
        help="Share of each label that is spread over all classes. [dim]\\[default: 0.1][/dim]",
    ),
    click.option(
        "--average-weights",
        "average_decay",
        type=click.FloatRange(min=0, max=1, max_open=True),
        metavar="DECAY",
        help="Keep the moving average of the weights instead of the last ones, e.g. 0.999.",
    ),
    click.option(
        "--augment",
        default="default",
        metavar="WHAT",
        help=(
            "What is done to training images: crop, flip, cutout, joined by +, or none."
            " [dim]\\[default: what suits the data][/dim]"
        ),
    ),
    click.option(
        "--train-device",
        "device",
        metavar="DEVICE",
        help="Where networks are trained: cpu, or cuda:0. [dim]\\[default: cpu][/dim]",
    ),
    click.option(
        "--mixed-precision",
        is_flag=True,
        help="Train in 16-bit floats where that is safe; CUDA devices only.",
    ),
    click.option(
        "--track",
        metavar="WHERE",
        help="Send figures to tensorboard:DIR or mlflow:URI while the search runs.",
    ),
)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of training to a command, which hands them to :func:`training_config`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def training_config(augment: str, **given: Any) -> TrainConfig:
    """How networks are trained, by what was typed; ``None`` takes the default.

    Raises:
        UnknownNameError: an augmentation that is not known.
        InputError: settings that do not go together.
    """
    from search.augment import Augmentation
    from search.train_config import TrainConfig

    typed = {name: value for name, value in given.items() if value is not None}
    return TrainConfig(augmentation=Augmentation.parse(augment), **typed)
