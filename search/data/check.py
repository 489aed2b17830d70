"""Saying what is wrong with data before a network is trained on them."""

from __future__ import annotations

import torch

from devices.errors import DatasetError
from search.data.arrays import Shape
from search.data.source import DataSource, look, written


def check_data(source: DataSource, input_shape: Shape, classes: int) -> None:
    """Say what is wrong with data before a network of that input and outputs is trained on them.

    Datasets in memory are read in full; of others 2,048 evenly spaced items a split.

    Args:
        source: the data.
        input_shape: ``(channels, height, width)`` the network takes.
        classes: number of the network's outputs.

    Raises:
        DatasetError: an empty split, a wrong shape, a value that is not finite, a label out of
            range, a single class, or more classes than outputs.
    """
    if source.input_shape != tuple(input_shape):
        raise DatasetError(
            f"{source.name} has images of {written(source.input_shape)}",
            f"the network takes {written(input_shape)}",
            "resize the images, or give the space another resolution",
        )
    check_outputs(source, classes)
    for split, dataset in source.splits.items():
        where = f"the {split} split of {source.name}"
        images, labels = look(split, dataset, source.name)
        if tuple(images.shape[1:]) != source.input_shape:
            raise DatasetError(
                f"{where} has images of {written(images.shape[1:])}",
                f"{written(source.input_shape)} is wanted",
            )
        if not bool(torch.isfinite(images).all()):
            raise DatasetError(
                f"{where} holds pixels that are not finite", "NaN or infinity", "clean the images"
            )
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= source.classes:
            raise DatasetError(
                f"{where} has the label {lowest if lowest < 0 else highest}",
                f"labels are 0 to {source.classes - 1}",
                "number the classes from 0",
            )
        if split == "train" and lowest == highest:
            raise DatasetError(
                f"{where} holds one class only (label {lowest})",
                "there is nothing to tell apart",
                "data of at least two classes",
            )


def check_outputs(source: DataSource, classes: int) -> None:
    """Raise :class:`DatasetError` where a network has fewer outputs than the data have classes."""
    if source.classes > classes:
        raise DatasetError(
            f"{source.name} has {source.classes} classes",
            f"the network has {classes} outputs",
            f"a space with classes={source.classes}",
        )
