"""A search that is killed again and again, in processes forked before torch has done anything."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from striped_images import stripes
from tiny_supernet import small

from search.augment import Augmentation
from search.data import from_dataset
from search.expected_latency import LatencyMatrix
from search.proxyless import proxyless_search
from search.proxyless_config import ProxylessConfig

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def search(folder: Path, epochs: int) -> None:
    """Search with a checkpoint in a folder, and leave what was found there."""
    torch.set_num_threads(1)
    space = small(8)
    matrix = LatencyMatrix(space, 0.5, ((1.0, 2.0, 0.0, 0.1), (0.5,), (1.0, 0.0, 3.0)))
    data = from_dataset(stripes(64, 0), stripes(16, 2), stripes(32, 1), name="stripes")
    config = ProxylessConfig(
        warmup_epochs=3,
        search_epochs=epochs - 3,
        batch_size=8,
        learning_rate=0.05,
        augmentation=Augmentation(crop=0.25, flip=True),
    )
    (folder / "began").touch()
    found = proxyless_search(
        space,
        matrix,
        data,
        3.0,
        config,
        checkpoint=folder / "search.pt",
        warmup=folder / "warmup.pt",
    )
    (folder / "found.json").write_text(
        json.dumps(
            [found.architecture.id, found.log_probabilities, [vars(r) for r in found.history]]
        )
    )


def forked(work: Callable[[], None]) -> int:
    """Process number of a child that does this and nothing else."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = 1
        try:
            work()
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            if code == 1:
                traceback.print_exc()
            os._exit(code)
    return child


def main() -> None:
    folder, epochs, kills, seed = Path(sys.argv[1]), *map(int, sys.argv[2:])
    draws = random.Random(seed)
    whole, cut = folder / "whole", folder / "cut"
    for each in (whole, cut):
        each.mkdir()
    start = time.monotonic()
    ends = [os.waitstatus_to_exitcode(os.waitpid(forked(lambda: search(whole, epochs)), 0)[1])]
    seconds = time.monotonic() - start
    for kill in range(kills):
        (cut / "began").unlink(missing_ok=True)
        child = forked(lambda: search(cut, epochs))
        while not (cut / "began").exists():
            time.sleep(0.001)
        # So that it would be killed in the middle of the run on average, had each run to go all of
        # the way, and before its end, as each goes on where the last one was.
        time.sleep(draws.uniform(0, seconds / (kills + 1)))
        os.kill(child, SIGNALS[kill % len(SIGNALS)])
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    child = forked(lambda: search(cut, epochs))
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    sys.stdout.write(json.dumps(ends))


if __name__ == "__main__":
    main()
