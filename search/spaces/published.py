"""Networks of the mobile space that others published, by name.

Sources:

- Kernels, expansions, skipped blocks and widths of the four ProxylessNAS networks: the authors'
  configurations (loaded by ``model_zoo.py`` of github.com/mit-han-lab/proxylessnas), as
  github.com/osmr/imgclsmob transcribes them beside the authors' weights
  (``pytorchcv/models/proxylessnas.py``). ProxylessNAS-Mobile also stands block by block in the
  authors' trace of it on a phone (``logs/proxyless_mobile_10_latency.txt``).
- MobileNetV2 1.0: Sandler et al., CVPR 2018, table 2.
- Parameters: imgclsmob asserts those of the ProxylessNAS networks, torchvision states those of
  MobileNetV2.
- Multiply-accumulates at 224x224: the README of the authors' repository for ProxylessNAS-Mobile,
  Mobile-14 and MobileNetV2. For the CPU and GPU networks only imgclsmob gives a figure, which
  counts batch norm and activations too.

The space that the authors' search starts from has stages of 24 to 320 channels; the published
networks have other widths, ProxylessNAS-Mobile a first stage of 32. So each is of ``mobile`` with
widths of its own, and none of plain ``mobile``.
"""

from __future__ import annotations

from dataclasses import dataclass

from devices.errors import UnknownNameError
from search.architecture import Architecture
from search.spaces.base import ChainSpace
from search.spaces.mobile import mobile

_SKIP = "skip"


@dataclass(frozen=True)
class PublishedNetwork:
    """A network that was published, as one of the mobile space.

    Attributes:
        name: that it is opened by.
        summary: one line about it.
        widths: as the parameter of :func:`~search.spaces.mobile.mobile`.
        stages: the blocks of each stage: ``k5e3`` is MBConv of kernel 5 and expansion 3.
        parameters: how many were published, with 1,000 classes.
        mega_macs: multiply-accumulates at 224x224 that were published, in millions.
    """

    name: str
    summary: str
    widths: str
    stages: tuple[str, ...]
    parameters: int
    mega_macs: float

    @property
    def depth(self) -> str:
        """Blocks of each stage, skipped ones included."""
        return "-".join(str(len(stage.split())) for stage in self.stages)

    def space(self, resolution: int = 224, classes: int = 1000) -> ChainSpace:
        """The space it is one network of.

        Raises:
            InputError: a parameter out of its range.
        """
        return mobile(resolution, classes=classes, depth=self.depth, widths=self.widths)

    def architecture(self, resolution: int = 224, classes: int = 1000) -> Architecture:
        """It, for images of some size and some number of classes.

        Raises:
            InputError: a parameter out of its range.
        """
        space = self.space(resolution, classes)
        words = " ".join(self.stages).split()
        choices = [
            [_SKIP if op.is_free else f"k{op['kernel']}e{op['expand']}" for op in block].index(word)
            for block, word in zip(space.blocks, words, strict=True)
        ]
        return space.architecture(choices)


_MOBILE_STAGES = (
    "k5e3 k3e3 skip skip",
    "k7e3 k3e3 k5e3 k5e3",
    "k7e6 k5e3 k5e3 k5e3",
    "k5e6 k5e3 k5e3 k5e3",
    "k7e6 k7e6 k7e3 k7e3",
    "k7e6",
)
PROXYLESS_MOBILE = PublishedNetwork(
    "proxyless-mobile",
    "ProxylessNAS for a phone (Pixel 1)",
    "32-16-32-40-80-96-192-320-1280",
    _MOBILE_STAGES,
    4_080_512,
    320,
)
PROXYLESS_MOBILE_14 = PublishedNetwork(
    "proxyless-mobile-14",
    "the same blocks, 1.4 times as wide",
    "48-24-40-56-112-136-256-448-1792",
    _MOBILE_STAGES,
    6_857_568,
    581,
)
PROXYLESS_CPU = PublishedNetwork(
    "proxyless-cpu",
    "ProxylessNAS for a CPU",
    "40-24-32-48-88-104-216-360-1432",
    (
        "k3e6 k3e3 k3e3 k3e3",
        "k3e6 k3e3 k3e3 k5e3",
        "k3e6 skip skip k3e3",
        "k5e6 k3e3 k3e3 k3e3",
        "k5e6 k5e3 k5e3 k3e3",
        "k5e6",
    ),
    4_361_648,
    459.96,
)
PROXYLESS_GPU = PublishedNetwork(
    "proxyless-gpu",
    "ProxylessNAS for a GPU",
    "40-24-32-56-112-128-256-432-1728",
    (
        "k5e3 skip skip skip",
        "k7e3 skip skip k3e3",
        "k7e6 skip skip k5e3",
        "k5e6 skip k3e3 k5e3",
        "k7e6 k7e6 k7e6 k5e6",
        "k7e6",
    ),
    7_119_848,
    476.08,
)
MOBILENET_V2 = PublishedNetwork(
    "mobilenet-v2",
    "MobileNetV2 1.0, the paper's baseline",
    "32-16-24-32-64-96-160-320-1280",
    tuple(" ".join(["k3e6"] * cells) for cells in (2, 3, 4, 3, 3, 1)),
    3_504_872,
    300,
)

PUBLISHED = {
    network.name: network
    for network in (
        PROXYLESS_MOBILE,
        PROXYLESS_MOBILE_14,
        PROXYLESS_CPU,
        PROXYLESS_GPU,
        MOBILENET_V2,
    )
}


def published(name: str) -> PublishedNetwork:
    """The published network of that name.

    Raises:
        UnknownNameError: with the nearest names.
    """
    try:
        return PUBLISHED[name]
    except KeyError:
        raise UnknownNameError.of("published network", name[:80], PUBLISHED) from None
