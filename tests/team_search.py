"""One process of a search that several do together, started as ``torchrun`` would."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from striped_images import stripes
from tiny_supernet import small

from search.data import DataSource, from_dataset
from search.expected_latency import LatencyMatrix, Limit
from search.interrupts import Interrupts
from search.proxyless_config import ProxylessConfig
from search.proxyless_run import ProxylessRun
from search.team import ALONE, Team, team_of_torchrun


def source() -> DataSource:
    return from_dataset(stripes(64, 0), stripes(16, 2), stripes(32, 1), name="stripes")


def begun(config: ProxylessConfig, team: Team = ALONE) -> ProxylessRun:
    matrix = LatencyMatrix(small(8), 0.5, ((1.0, 2.0, 0.0, 0.1), (0.5,), (1.0, 0.0, 3.0)))
    return ProxylessRun([Limit(matrix, 3.0)], source(), config, team)


def trained(config: ProxylessConfig, team: Team = ALONE) -> ProxylessRun:
    """A search of a small space, trained to its end."""
    run = begun(config, team)
    with Interrupts(hold=False) as interrupts:
        while not run.is_over:
            run.train_epoch(interrupts)
    return run


def interrupted(config: ProxylessConfig, team: Team) -> ProxylessRun:
    """The same, of which the second process is told to stop in the third step of epoch 2."""
    run = begun(config, team)
    step = run.alpha_steps.step

    def then_interrupt(*arguments: Any) -> float:
        if (run.epoch, run.step) == (2, 3) and team.rank == 1:
            signal.raise_signal(signal.SIGTERM)
        return step(*arguments)

    run.alpha_steps.step = then_interrupt  # type: ignore[method-assign]
    with Interrupts() as interrupts:
        while run.train_epoch(interrupts):
            pass
        interrupts.caught = None
    return run


def start(size: int, folder: Path, **config: Any) -> list[subprocess.Popen[bytes]]:
    """Start the processes of a team; each leaves its supernet in ``RANK.pt``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(size),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    return [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), json.dumps(config)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(size)
    ]


def main() -> None:
    folder, config = Path(sys.argv[1]), json.loads(sys.argv[2])
    search = interrupted if config.pop("interrupt", False) else trained
    with team_of_torchrun("cpu") as team:
        run = search(ProxylessConfig(**config), team)
        kept = {
            "supernet": run.supernet.state_dict(),
            "history": run.state()["history"],
            "reached": [run.epoch, run.step],
        }
        torch.save(kept, folder / f"{team.rank}.pt")


if __name__ == "__main__":
    main()
