"""A Ray cluster of two nodes on this machine, in processes of its own."""

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

MISSING = "needs ray: pip install 'lutier[cluster]'"
_PATIENCE_S = 60


def has_ray() -> bool:
    return find_spec("ray") is not None


class Cluster:
    """The first node takes clients, the second can be killed; a CPU each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.client_port = free_ports(2)
        self.nodes: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"ray://127.0.0.1:{self.client_port}"

    def start(self) -> None:
        self._node("--head", f"--port={self.port}", f"--ray-client-server-port={self.client_port}")
        wait_for_port(self.client_port, self.nodes[0])
        self._node(f"--address=127.0.0.1:{self.port}")

    def _node(self, *words: str) -> None:
        environment = {
            **os.environ,
            # Tests are imported by name where they run.
            "PYTHONPATH": str(Path(__file__).parent),
            "RAY_USAGE_STATS_ENABLED": "0",
            # A node that is gone is found to be after 2 s instead of 15.
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_timeout_ms": "500",
            "RAY_health_check_failure_threshold": "4",
        }
        script = "from ray.scripts.scripts import main; main()"
        command = [sys.executable, "-c", script, "start", "--block", *words]
        command += ["--num-cpus=1", "--node-ip-address=127.0.0.1"]
        command += ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        command += ["--object-store-memory=100000000"]
        if "--head" in words:
            command += [f"--temp-dir={self.folder}", "--include-dashboard=false"]
        with (self.folder / f"node{len(self.nodes)}.log").open("wb") as log:
            self.nodes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def wait_for_both(self, ray: Any) -> None:
        """Args: ray: connected to this cluster."""
        end = time.monotonic() + _PATIENCE_S
        while ray.cluster_resources().get("CPU", 0) < 2:
            assert self.nodes[1].poll() is None, "the second node ended"
            assert time.monotonic() < end, "the second node has not joined"
            time.sleep(0.2)

    def kill_second(self) -> None:
        """As if its power was cut."""
        os.killpg(self.nodes[1].pid, signal.SIGKILL)
        self.nodes[1].wait()

    def stop(self) -> None:
        for node in self.nodes:
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    # Names of sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for_port(port: int, node: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        assert node.poll() is None, "the node ended"
        assert time.monotonic() < end, "the node takes no clients"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
