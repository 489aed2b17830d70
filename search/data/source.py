"""Labelled images to search and train on, and how batches of them are drawn.

Data that fit in memory are a ``TensorDataset`` of ``(N, C, H, W)`` float32 images and ``(N,)``
int64 labels, or :class:`search.data.arrays.ImageArrays`, so that a batch is one indexing operation.
Any other map-style dataset works too; its items are ``(image, label)`` pairs, an image a float
tensor ``(C, H, W)``, a label an integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset, default_collate

from devices.errors import DatasetError, InputError
from search.augment import NONE, Augmentation
from search.data.arrays import ImageArrays, Shape
from search.team import ALONE, Team

Images = Dataset[Any] | tuple[Tensor, Tensor]

# Items of a dataset that is not in memory that are looked at before training starts.
_LOOKED_AT = 2048


@dataclass(frozen=True)
class DataSource:
    """Images to train on, to choose by, and to report on.

    Attributes:
        name: how the data are called in results.
        train: what weights are trained on.
        validation: what architectures are chosen by.
        test: what is only ever reported.
        input_shape: ``(channels, height, width)`` of an image.
        classes: number of classes; labels are 0 to ``classes - 1``.
        notes: what a person should know about these data, a line each.
        augmentation: what suits training images of this kind.
    """

    name: str
    train: Dataset[Any] = field(repr=False)
    validation: Dataset[Any] = field(repr=False)
    test: Dataset[Any] = field(repr=False)
    input_shape: Shape
    classes: int
    notes: tuple[str, ...] = ()
    augmentation: Augmentation = NONE

    @property
    def splits(self) -> dict[str, Dataset[Any]]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def stratified(labels: Tensor, shares: Sequence[float], seed: int) -> list[Tensor]:
    """Shuffled indices of as many parts as there are shares, each class cut in those shares too."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    parts: list[list[int]] = [[] for _ in shares]
    # Class by class, each image to the part that lags furthest behind its share.
    for done, index in enumerate(order[labels[order].argsort(stable=True)].tolist(), 1):
        lags = [share * done - len(part) for part, share in zip(parts, shares, strict=True)]
        parts[lags.index(max(lags))].append(index)
    drawn = [torch.randperm(len(part), generator=generator) for part in parts]
    return [
        torch.tensor(part, dtype=torch.int64)[turn] for part, turn in zip(parts, drawn, strict=True)
    ]


def from_dataset(
    train: Images,
    test: Images,
    validation: Images | None = None,
    *,
    name: str = "dataset",
    classes: int | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    augmentation: Augmentation = NONE,
) -> DataSource:
    """Data from torch datasets, or from pairs of an image tensor and a label tensor.

    Args:
        train: images ``(N, C, H, W)`` and labels ``(N,)``, or a map-style dataset of such pairs.
        test: the same, of images that are only ever reported on.
        validation: the same; without it a share of ``train`` is set aside.
        name: how the data are called in results.
        classes: number of classes; without it one more than the largest label of ``train``.
        validation_share: how much of ``train`` is set aside, above 0 and below 1.
        seed: decides which images are set aside.
        augmentation: what suits training images of this kind.

    Raises:
        DatasetError: no images, items that are not pairs, or as many labels as images are not.
        InputError: a share that leaves nothing.
    """
    training = _as_dataset("train", train)
    looked_at = look("train", training)
    if classes is None:
        classes = int(looked_at[1].max()) + 1
    if validation is not None:
        chosen = _as_dataset("validation", validation)
    else:
        if not 0 < validation_share < 1:
            raise InputError(f"validation_share={validation_share}", "must be between 0 and 1")
        training, chosen = _set_aside(training, validation_share, seed)
    channels, height, width = looked_at[0].shape[1:]
    return DataSource(
        name,
        training,
        chosen,
        _as_dataset("test", test),
        (channels, height, width),
        classes,
        augmentation=augmentation,
    )


def _as_dataset(split: str, images: Images) -> Dataset[Any]:
    if not isinstance(images, tuple):
        return images
    inputs, labels = images
    if len(inputs) != len(labels):
        raise DatasetError(
            f"the {split} split has {len(inputs)} images and {len(labels)} labels",
            "every image needs one label",
        )
    return TensorDataset(inputs, labels)


def _set_aside(dataset: Dataset[Any], share: float, seed: int) -> tuple[Dataset[Any], Dataset[Any]]:
    """A dataset in two parts: by class where labels are in memory, else at random."""
    if isinstance(dataset, TensorDataset):
        kept, aside = stratified(dataset.tensors[1], (1 - share, share), seed)
        inputs, labels = dataset.tensors
        return (
            TensorDataset(inputs[kept], labels[kept]),
            TensorDataset(inputs[aside], labels[aside]),
        )
    order = torch.randperm(size_of(dataset), generator=torch.Generator().manual_seed(seed)).tolist()
    stop = round((1 - share) * len(order))
    return Subset(dataset, order[:stop]), Subset(dataset, order[stop:])


def size_of(dataset: Dataset[Any]) -> int:
    """Number of items.

    Raises:
        DatasetError: a dataset that can only be streamed.
    """
    try:
        return len(dataset)  # type: ignore[arg-type]  # torch's Dataset leaves __len__ undeclared
    except TypeError:
        raise DatasetError(
            f"{type(dataset).__name__} has no length",
            "batches are drawn by index",
            "a map-style torch.utils.data.Dataset with __len__ and __getitem__",
        ) from None


def fetch(dataset: Dataset[Any], indices: Tensor) -> tuple[Tensor, Tensor]:
    """The images ``(n, C, H, W)`` and labels ``(n,)`` at ``n`` indices."""
    if isinstance(dataset, TensorDataset):
        inputs, labels = dataset.tensors
        return inputs[indices], labels[indices]
    if isinstance(dataset, ImageArrays):
        return dataset.batch(indices)
    inputs, labels = default_collate([dataset[int(index)] for index in indices])
    return inputs, labels


def batches(
    dataset: Dataset[Any],
    batch_size: int,
    generator: torch.Generator | None = None,
    *,
    drop_last: bool = False,
    first: int = 0,
    team: Team = ALONE,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass over a dataset in batches of images ``(n, C, H, W)`` and labels ``(n,)``.

    Args:
        dataset: what to pass over.
        batch_size: images a batch.
        generator: shuffles; without it the order is the dataset's.
        drop_last: leave an incomplete last batch out, unless it is the only one.
        first: batches at the beginning that are left out, in the same order.
        team: processes that share out each batch; this one's images are given.
    """
    count = size_of(dataset)
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    stop = count - count % batch_size if drop_last and count >= batch_size else count
    for start in range(first * batch_size, stop, batch_size):
        batch = order[start : min(start + batch_size, stop)]
        yield fetch(dataset, batch[team.rank :: team.size])


def written(shape: Sequence[int]) -> str:
    """A shape for people: ``3x32x32``."""
    return "x".join(map(str, shape))


def look(split: str, dataset: Dataset[Any], name: str = "the data") -> tuple[Tensor, Tensor]:
    """Images and labels of a split, all or evenly spaced ones, checked for their form only."""
    where = f"the {split} split of {name}"
    count = size_of(dataset)
    if count == 0:
        raise DatasetError(f"{where} is empty", "there is nothing to learn from")
    if isinstance(dataset, TensorDataset):
        if len(dataset.tensors) != 2:
            raise DatasetError(f"{where} has {len(dataset.tensors)} tensors", "2 are wanted")
        images, labels = dataset.tensors
    else:
        seen = range(0, count, max(1, -(-count // _LOOKED_AT)))
        if isinstance(dataset, ImageArrays):
            images, labels = dataset.batch(torch.tensor(seen))
        else:
            images, labels = _stacked(where, [dataset[index] for index in seen])
    if images.ndim != 4 or not images.is_floating_point():
        raise DatasetError(
            f"{where} has images of {written(images.shape[1:])} {images.dtype}",
            "an image is a floating-point tensor of channels, height and width",
            "scale to floats, and add the channel dimension",
        )
    if labels.shape != (len(images),) or labels.dtype != torch.int64:
        raise DatasetError(
            f"{where} has labels of shape {tuple(labels.shape)}, {labels.dtype}",
            "one class number an image is wanted",
            "labels.long()",
        )
    return images, labels


def _stacked(where: str, items: Sequence[Any]) -> tuple[Tensor, Tensor]:
    for item in items:
        if not (isinstance(item, tuple | list) and len(item) == 2 and torch.is_tensor(item[0])):
            raise DatasetError(
                f"{where} has an item of {type(item).__name__}",
                "an item is an image tensor and a class number",
                "a transform that ends in a tensor",
            )
    shapes = {tuple(image.shape) for image, _ in items}
    if len(shapes) != 1:
        told = " and ".join(written(shape) for shape in sorted(shapes)[:2])
        raise DatasetError(f"{where} has images of {told}", "all must be of one size")
    labels = torch.as_tensor([label for _, label in items])
    return torch.stack([image for image, _ in items]), labels
