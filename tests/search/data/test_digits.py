from __future__ import annotations

import torch

from search.data import check_data, fetch, open_data, size_of

SHAPE = (3, 8, 8)


def test_digits_are_split_by_class_and_resized() -> None:
    source = open_data("digits", (3, 12, 10), seed=0)
    sizes = [size_of(split) for split in source.splits.values()]
    assert sum(sizes) == 1797
    assert source.input_shape == (3, 12, 10)
    everywhere = sum(
        fetch(dataset, torch.arange(size_of(dataset)))[1].bincount(minlength=10)
        for dataset in source.splits.values()
    )
    for dataset, share in zip(source.splits.values(), (0.6, 0.2, 0.2), strict=True):
        inputs, labels = fetch(dataset, torch.arange(size_of(dataset)))
        assert inputs.shape[1:] == (3, 12, 10)
        assert inputs.dtype == torch.float32
        assert (labels.bincount(minlength=10) - share * everywhere).abs().max() <= 2
    train, _ = fetch(source.train, torch.arange(sizes[0]))
    assert abs(float(train.mean())) < 1e-4
    assert abs(float(train.std()) - 1) < 1e-2
    check_data(source, (3, 12, 10), 10)


def test_the_seed_decides_the_split() -> None:
    def labels(seed: int) -> list[int]:
        source = open_data("digits", SHAPE, seed)
        return fetch(source.train, torch.arange(200))[1].tolist()

    assert labels(0) == labels(0)
    assert labels(0) != labels(1)
