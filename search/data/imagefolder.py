"""PNG and JPEG files in folders, one folder a class.

::

    DIR/train/cat/1.jpg          DIR/cat/1.jpg
    DIR/train/dog/2.png    or    DIR/dog/2.png     (a fifth of each class becomes the test)
    DIR/test/cat/3.jpg
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from devices.errors import DatasetError, MissingExtraError
from search.augment import CROP, Augmentation
from search.data.arrays import Shape
from search.data.published import Arrays, from_published
from search.data.registry import register_folder
from search.data.source import DataSource, stratified

FOLDER_SOURCE = "DIR/train/CLASS/*.png and DIR/test/CLASS/*.png, or DIR/CLASS/*.png; JPEG too"

_SUFFIXES = (".png", ".jpg", ".jpeg")
_TEST_FOLDERS = ("test", "val")
_TEST_SHARE = 0.2
_SHOWN = 5
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
"""What Pillow raises for damaged files."""


@register_folder("imagefolder", FOLDER_SOURCE)
def imagefolder(
    folder: Path, input_shape: Shape, seed: int, *, skip_corrupt: bool = False
) -> DataSource:
    """Images of any size, read into memory at the size of the network's input.

    An image is scaled until it covers the input, and its middle is cut out. Classes are numbered in
    the order of their names. The test split is ``test``, or ``val`` where there is none.

    Args:
        folder: with ``train`` and ``test`` or ``val``, or with the folders of the classes.
        input_shape: ``(channels, height, width)`` of the network's input; 1 or 3 channels.
        seed: decides which images are set aside for validation, and for the test where the folder
            has no split of its own.
        skip_corrupt: leave files out that cannot be read, and note which.

    Raises:
        DatasetError: no classes, a class without images, a class in the test split only, a file
            that cannot be read, or more images than fit into memory.
        MissingExtraError: Pillow is not installed.
    """
    reader = _Reader(folder, input_shape, skip_corrupt)
    if not (folder / "train").is_dir():
        classes = _classes(folder)
        images, labels = reader.read(folder, classes)
        kept, aside = stratified(labels, (1 - _TEST_SHARE, _TEST_SHARE), seed)
        train, test = (images[kept], labels[kept]), (images[aside], labels[aside])
    else:
        present = [name for name in _TEST_FOLDERS if (folder / name).is_dir()]
        if not present:
            raise DatasetError(f"{folder} has a folder train but no test", "", FOLDER_SOURCE)
        classes = _classes(folder / "train")
        unknown = sorted(set(_classes(folder / present[0])) - set(classes))
        if unknown:
            raise DatasetError(
                f"{folder / present[0]} has the class {unknown[0]}", "train has no such folder"
            )
        train = reader.read(folder / "train", classes)
        test = reader.read(folder / present[0], classes)
        if len(present) == 2:
            reader.notes.append(f"{folder / present[1]} is not used: validation is a part of train")
    name = f"imagefolder {folder.name}"
    notes = (*reader.notes, *reader.left_out())
    augmentation = Augmentation(crop=CROP, flip=True)
    return from_published(name, train, test, input_shape, len(classes), seed, augmentation, notes)


def _classes(folder: Path) -> list[str]:
    names = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if len(names) < 2:
        raise DatasetError(
            f"{folder} holds {len(names)} folders of classes", "2 are the least", FOLDER_SOURCE
        )
    return names


class _Reader:
    """Reads images, and remembers what it left out."""

    def __init__(self, folder: Path, shape: Shape, skip_corrupt: bool) -> None:
        if shape[0] not in (1, 3):
            raise DatasetError(
                f"images cannot have {shape[0]} channels",
                "files are grey or in colour",
                "a space with 1 or 3 input channels",
            )
        self.folder = folder
        self.shape = shape
        self.skip_corrupt = skip_corrupt
        self.notes: list[str] = []
        self._corrupt: list[str] = []
        self._foreign: list[str] = []

    def left_out(self) -> list[str]:
        """What was left out, a line a reason, with every name."""
        lines = []
        if self._corrupt:
            lines.append(
                f"{len(self._corrupt)} corrupt images were skipped: {', '.join(self._corrupt)}"
            )
        if self._foreign:
            shown = ", ".join(self._foreign[:_SHOWN])
            more = ", ..." if len(self._foreign) > _SHOWN else ""
            lines.append(f"{len(self._foreign)} files are no PNG or JPEG: {shown}{more}")
        return lines

    def read(self, split: Path, classes: Sequence[str]) -> Arrays:
        """Images ``(N, C, H, W)`` uint8 and labels ``(N,)`` of the folders of some classes."""
        found: list[tuple[Path, int]] = []
        for label, name in enumerate(classes):
            paths = self._images(split / name)
            # A test split may lack a class.
            if not paths and (split.name not in _TEST_FOLDERS or (split / name).is_dir()):
                raise DatasetError(f"{split / name} holds no PNG or JPEG", "", FOLDER_SOURCE)
            found += [(path, label) for path in paths]
        _check_memory(split, len(found), self.shape)
        pixels = torch.empty((len(found), *self.shape), dtype=torch.uint8)
        labels: list[int] = []
        pillow = _pillow()
        with warnings.catch_warnings():
            # An image of so many pixels that it may be meant to fill the memory.
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            for path, label in found:
                try:
                    pixels[len(labels)] = _decoded(pillow, path, self.shape)
                except (*_BROKEN, pillow.DecompressionBombError, Warning) as error:
                    self._skip(path, error)
                else:
                    labels.append(label)
        lacking = sorted({label for _, label in found} - set(labels))
        if lacking:
            raise DatasetError(
                f"{split / classes[lacking[0]]} holds no image that can be read", "all are corrupt"
            )
        return pixels[: len(labels)], torch.tensor(labels, dtype=torch.int64)

    def _images(self, folder: Path) -> list[Path]:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        paths = [path for path in paths if not path.name.startswith(".")]
        images = [path for path in paths if path.suffix.lower() in _SUFFIXES]
        self._foreign += [
            self._name(path) for path in paths if path.suffix.lower() not in _SUFFIXES
        ]
        return images

    def _skip(self, path: Path, error: Exception) -> None:
        if not self.skip_corrupt:
            raise DatasetError(
                f"{path} cannot be read as an image",
                str(error).partition("\n")[0] or type(error).__name__,
                f"mend or delete it, or imagefolder:{self.folder}?skip_corrupt=1",
            ) from error
        self._corrupt.append(self._name(path))

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError(
            "imagefolder reads images with Pillow", str(error), "pip install 'lutier[vision]'"
        ) from error
    return Image


def _decoded(pillow: ModuleType, path: Path, shape: Shape) -> Tensor:
    """Bytes ``(C, H, W)`` of a file."""
    from PIL import ImageOps

    channels, height, width = shape
    # Only the decoders that are wanted: a file may pretend to be a PNG.
    with pillow.open(path, formats=("PNG", "JPEG")) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            # Grey of 16 bits.
            image = pillow.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("L" if channels == 1 else "RGB")
        image = ImageOps.fit(image, (width, height), pillow.Resampling.BILINEAR)
        array = np.array(image, dtype=np.uint8).reshape(height, width, channels)
    return torch.from_numpy(array).permute(2, 0, 1)


def _check_memory(folder: Path, count: int, shape: Shape) -> None:
    """Raise :class:`DatasetError` where images take more than half of the memory there is."""
    needed = count * shape[0] * shape[1] * shape[2]
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there / 2:
        raise DatasetError(
            f"{count:,} images of {folder} take {needed / 1e9:.1f} GB",
            f"they are held in memory, and this machine has {there / 1e9:.1f} GB",
            "a space of a lower resolution, or fewer images",
        )
