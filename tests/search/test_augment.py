from __future__ import annotations

import pytest
import torch
from torch import Tensor

from devices.errors import InputError, UnknownNameError
from search.augment import CROP, CUTOUT, Augmentation, augmented


def images(count: int = 64, height: int = 8, width: int = 16) -> Tensor:
    """Each pixel is a number of its own."""
    return torch.arange(1, count * 2 * height * width + 1).float().reshape(count, 2, height, width)


def changed(how: Augmentation, seed: int = 0, given: Tensor | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return augmented(images() if given is None else given, how, generator)


def test_nothing_to_do_leaves_the_batch_and_the_generator() -> None:
    given, generator = images(), torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert augmented(given, Augmentation(), generator) is given
    assert torch.equal(generator.get_state(), before)


def test_about_half_of_the_images_are_flipped_and_the_others_stay() -> None:
    given, result = images(), changed(Augmentation(flip=True))
    same = (result == given).flatten(1).all(1)
    mirrored = (result == given.flip(-1)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 16 < int(same.sum()) < 48


def test_an_image_is_shifted_as_a_whole_and_its_border_repeated() -> None:
    given, result = images(), changed(Augmentation(crop=0.25))
    padded = torch.nn.functional.pad(given, (4, 4, 2, 2), mode="replicate")
    shifts = set()
    for i, image in enumerate(result):
        found = [
            (dy, dx)
            for dy in range(5)
            for dx in range(9)
            if torch.equal(padded[i, :, dy : dy + 8, dx : dx + 16], image)
        ]
        assert len(found) == 1
        shifts.update(found)
    assert {dy for dy, _ in shifts} == set(range(5))
    assert len({dx for _, dx in shifts}) == 9


def test_cutout_paints_one_rectangle_of_the_mean_colour() -> None:
    given, result = images(), changed(Augmentation(cutout=0.5))
    gone = result == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    assert torch.equal(result[~gone], given[~gone])
    for mask in gone[:, 0]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)
        assert 2 <= int(rows.sum()) <= 4
        assert 4 <= int(columns.sum()) <= 8


def test_the_generator_decides() -> None:
    how = Augmentation(0.2, True, 0.3)
    assert torch.equal(changed(how, 1), changed(how, 1))
    assert not torch.equal(changed(how, 1), changed(how, 2))
    assert changed(how, given=images(1)).shape == (1, 2, 8, 16)


def test_augmentations_by_name() -> None:
    assert Augmentation.parse("default") is None
    assert Augmentation.parse("none") == Augmentation()
    assert Augmentation.parse("crop+flip") == Augmentation(CROP, True)
    assert Augmentation.parse("cutout") == Augmentation(cutout=CUTOUT)
    with pytest.raises(UnknownNameError, match=r"unknown augmentation 'flop'.*flip"):
        Augmentation.parse("crop+flop")


@pytest.mark.parametrize("change", [{"crop": 1.0}, {"cutout": -0.1}])
def test_shares_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="share of the image"):
        Augmentation(**change)  # type: ignore[arg-type]
