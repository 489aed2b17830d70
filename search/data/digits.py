"""scikit-learn's handwritten digits."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from search.data.arrays import Shape
from search.data.registry import register_data
from search.data.source import DataSource, stratified


@register_data("digits")
def digits(input_shape: Shape, seed: int) -> DataSource:
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels, ten classes, nothing to download.

    Split 60/20/20 by class, resized bilinearly, the grey channel repeated, and normalised by the
    mean and standard deviation of the training split.
    """
    from sklearn.datasets import load_digits

    channels, height, width = input_shape
    bunch = load_digits()
    labels = torch.from_numpy(bunch.target).long()
    images = torch.from_numpy(bunch.images).float()[:, None]
    images = F.interpolate(images, size=(height, width), mode="bilinear", align_corners=False)
    parts = stratified(labels, (0.6, 0.2, 0.2), seed)
    images = (images - images[parts[0]].mean()) / images[parts[0]].std()
    images = images.expand(-1, channels, -1, -1)
    train, validation, test = (TensorDataset(images[part], labels[part]) for part in parts)
    return DataSource("digits", train, validation, test, input_shape, 10)
