"""A Ray cluster of two nodes on this machine, in processes of its own, to try things on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from devices.errors import LinkLostError

MISSING = "needs ray: pip install 'lutier[cluster]'"
_PATIENCE_S = 90.0
_SCRIPT = "from ray.scripts.scripts import main; main()"
_MEMORY = 100_000_000


def has_ray() -> bool:
    """Whether Ray is installed."""
    return find_spec("ray") is not None


class TwoNodes:
    """The first node takes clients, the second can be killed; a CPU each.

    Args:
        folder: for Ray's files; its name must be short, as those of sockets are.
        modules: folder that modules are imported from where work is done.
    """

    def __init__(self, folder: Path, modules: Path | None = None) -> None:
        self.folder = folder
        self.modules = modules
        self.port, self.client_port = free_ports(2)
        self.nodes: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        """For :class:`search.parallel.cluster.RayCluster`."""
        return f"ray://127.0.0.1:{self.client_port}"

    def start(self) -> None:
        """Start both; the second joins in its own time.

        Raises:
            LinkLostError: the first did not start.
        """
        self._start(
            "--head",
            f"--port={self.port}",
            f"--ray-client-server-port={self.client_port}",
            f"--temp-dir={self.folder}",
            "--include-dashboard=false",
        )
        end = time.monotonic() + _PATIENCE_S
        while not _listens(self.client_port):
            self._check(0, end)
            time.sleep(0.2)
        self._start(f"--address=127.0.0.1:{self.port}")

    def _start(self, *words: str) -> None:
        environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            # A node that is gone is found to be after 2 s instead of 15.
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_timeout_ms": "500",
            "RAY_health_check_failure_threshold": "4",
        }
        if self.modules is not None:
            environment["PYTHONPATH"] = str(self.modules)
        command = [sys.executable, "-c", _SCRIPT, "start", "--block", *words]
        command += ["--num-cpus=1", "--node-ip-address=127.0.0.1"]
        command += ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        command += [f"--object-store-memory={_MEMORY}"]
        with (self.folder / f"node{len(self.nodes)}.log").open("wb") as log:
            self.nodes.append(
                subprocess.Popen(  # noqa: S603  # our own words
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _check(self, node: int, end: float) -> None:
        if self.nodes[node].poll() is None and time.monotonic() < end:
            return
        log = (self.folder / f"node{node}.log").read_text(errors="replace")
        raise LinkLostError(f"node {node} of the cluster did not start", log[-300:])

    def wait_for_both(self, ray: Any) -> None:
        """Wait until both have joined.

        Args:
            ray: the package, connected to this cluster.

        Raises:
            LinkLostError: the second did not.
        """
        end = time.monotonic() + _PATIENCE_S
        while ray.cluster_resources().get("CPU", 0) < 2:
            self._check(1, end)
            time.sleep(0.2)

    def kill_second(self) -> None:
        """As if its power was cut."""
        self._kill(self.nodes[1])

    def stop(self) -> None:
        """Stop both."""
        for node in self.nodes:
            self._kill(node)

    @staticmethod
    def _kill(node: subprocess.Popen[bytes]) -> None:
        if node.poll() is None:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()


@contextmanager
def two_nodes(modules: Path | None = None) -> Iterator[TwoNodes]:
    """Two nodes, stopped at the end of the ``with``; see :class:`TwoNodes`."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    nodes = TwoNodes(folder, modules)
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
