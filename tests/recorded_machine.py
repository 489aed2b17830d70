"""Recordings of machines that were never there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devices.environment import Environment
from devices.replay import write_recording
from devices.target import Target
from lutier.networks import draw_networks
from search.architecture import Architecture
from search.spaces.base import SearchSpace
from search.spaces.mobile import mobile_tiny

SPACE = mobile_tiny(width=0.25)
NETWORKS = 30


def record(
    file: Path,
    factor: float,
    chip: str,
    space: SearchSpace = SPACE,
    networks: Sequence[Architecture] | None = None,
) -> None:
    """A machine whose latencies follow the FLOPs."""
    samples = {spec.key: [factor * (0.01 + 1e-9 * spec.flops)] for spec in space.all_ops()}
    for network in draw_networks(space, NETWORKS, 0) if networks is None else networks:
        ops = [spec for spec in space.ops(network) if not spec.is_free]
        samples[network.id] = [factor * sum(0.01 + 1e-9 * spec.flops for spec in ops)]
    write_recording(file, Target.parse("cpu/onnxruntime"), Environment.of({"chip": chip}), samples)
