from __future__ import annotations

import pytest

from devices.errors import InputError
from lutier import working
from lutier.working import open_workers
from search.parallel.base import InProcess
from search.parallel.processes import Processes


def test_one_worker_is_this_process_and_several_share_its_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(working, "available_cores", lambda: 8)
    with open_workers(1, None, "cpu") as workers:
        assert isinstance(workers, InProcess)
    for count, threads in ((2, 4), (3, 2), (16, 1)):
        with open_workers(count, None, "cpu") as workers:
            assert isinstance(workers, Processes)
            assert (workers.count, workers.threads) == (count, threads)


@pytest.mark.parametrize(("count", "device"), [(2, "cpu"), (1, "cuda:0")])
def test_a_cluster_has_its_own_workers_which_train_on_cpus(count: int, device: str) -> None:
    with pytest.raises(InputError), open_workers(count, "ray://here", device):
        pass
