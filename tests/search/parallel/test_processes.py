from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from parallel_work import Fatal, Noted, raise_unreadable, refuse, square, threads

from devices.errors import DatasetError, InputError, LinkLostError
from search.parallel.base import InProcess
from search.parallel.processes import Processes


def test_results_are_those_of_one_process() -> None:
    items = list(range(7))
    alone = list(InProcess().results(square, items))
    assert sorted(Processes(3).results(square, items)) == alone
    assert list(Processes(2).results(square, [])) == []


def test_what_a_killed_worker_was_doing_is_done_again(tmp_path: Path) -> None:
    results = sorted(Processes(2).results(Fatal(tmp_path, victim=3), range(8)))
    assert results == [(i, i**2) for i in range(8)]
    # Two began, and one took the place of the one that died.
    assert len(list(tmp_path.glob("worker-*"))) == 3


def test_an_item_that_kills_every_worker_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LinkLostError, match=r"3 workers were lost .* task, 3: .* SIGKILL"):
        list(Processes(1).results(Fatal(tmp_path, victim=3, always=True), range(5)))


def test_what_work_raises_is_raised() -> None:
    with pytest.raises(DatasetError) as caught:
        list(Processes(1).results(refuse, [5]))
    assert (caught.value.what, caught.value.hint) == ("5 is not wanted", "another")
    with pytest.raises(RuntimeError, match="Unreadable: cannot be read"):
        list(Processes(1).results(raise_unreadable, [5]))


def test_each_process_has_the_threads_it_was_given() -> None:
    assert list(Processes(1, threads=2).results(threads, [0])) == [(0, 2)]


def test_closing_ends_the_workers(tmp_path: Path) -> None:
    with closing(Processes(2).results(Noted(tmp_path), [0, 1])) as results:
        # Interrupted as by Ctrl-C: while the results are waited for.
        previous = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        began[:] = [tmp_path]
        try:
            with pytest.raises(KeyboardInterrupt):
                next(results)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
    assert {file.name.partition("-")[2] for file in tmp_path.glob("ended-*")} == {
        file.name.partition("-")[2] for file in tmp_path.glob("began-*")
    }


began: list[Path] = []


def interrupt(*_: object) -> None:
    if len(list(began[0].glob("began-*"))) == 2:
        raise KeyboardInterrupt


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from parallel_work import Noted\n"
        "from search.parallel.processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    list(Processes(1).results(Noted(Path(sys.argv[1])), [0]))\n"
    )
    file = tmp_path / "parent.py"
    file.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, file, tmp_path], env=environment)
    wait_for(tmp_path, "began-*")
    parent.kill()
    parent.wait()
    wait_for(tmp_path, "ended-*")


def wait_for(folder: Path, pattern: str) -> None:
    end = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < end, f"no {pattern}"
        time.sleep(0.05)


@pytest.mark.parametrize(("count", "count_of_threads"), [(0, 1), (1, 0), (-1, 1)])
def test_less_than_one_worker_or_thread_is_refused(count: int, count_of_threads: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        Processes(count, count_of_threads)
