"""Workers that are the CPUs of a Ray cluster (extra ``cluster``).

Ray is asked through its client, ``ray://HOST:10001``, so that the asking machine need not be one of
the cluster. The packages of Lutier are sent along; what they need, torch first of all, has to be
installed on every node, in the versions of this machine. What a lost node was doing Ray does again
elsewhere.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Generator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devices.errors import InputError, LinkLostError, MissingExtraError
from search.parallel.base import LOSSES, Work

_PORT = 10001
_TIMEOUT_S = 5.0
_PACKAGES = ("devices", "profiler", "latency_models", "search")
# Tasks that are handed over and not done, for each CPU: enough that none waits for us.
_AHEAD = 2


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of ``ray://HOST[:PORT]``.

    Raises:
        InputError: it is written otherwise.
    """
    scheme, separator, place = address.partition("://")
    if not place.rpartition("]")[2].count(":"):
        place += f":{_PORT}"
    host, _, port = place.rpartition(":")
    if (scheme, separator) != ("ray", "://") or not host or not port.isdecimal():
        raise InputError(
            f"{address!r} is not the address of a cluster",
            "it is written ray://HOST:PORT",
            f"ray://localhost:{_PORT}",
        )
    if not 0 < int(port) < 1 << 16:
        raise InputError(f"port {port} of {address}", "must be 1 to 65535")
    return host.strip("[]"), int(port)


class RayCluster:
    """Connected inside a ``with``.

    Args:
        address: ``ray://HOST:PORT``.

    Raises:
        InputError: an address that is written otherwise.
        MissingExtraError: Ray is not installed.
        LinkLostError: nobody answers there, or nobody this Ray can talk to.
    """

    in_process = False
    shares_files = False

    def __init__(self, address: str) -> None:
        self.address = address
        self.place = parse_address(address)
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise MissingExtraError(
                "ray is not installed", "--cluster needs it", "pip install 'lutier[cluster]'"
            ) from error

    def __enter__(self) -> Self:
        ray = self._ray
        try:
            # Ray itself tries for half a minute.
            socket.create_connection(self.place, _TIMEOUT_S).close()
            ray.init(
                self.address,
                runtime_env={"py_modules": [_folder(name) for name in _PACKAGES]},
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        # Ray says what is wrong with the other side by all of these.
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise LinkLostError(
                f"no Ray cluster answers at {self.address}",
                str(error).strip().partition("\n")[0][:200],
                f"ray start --head --ray-client-server-port {self.place[1]}, with Ray"
                f" {ray.__version__} and the Python of this machine",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ray.shutdown()

    def results(self, work: Work, items: Sequence[Any]) -> Generator[tuple[int, Any], None, None]:
        """Index and result of each item, as they come."""
        ray = self._ray
        task = ray.remote(num_cpus=1, max_retries=LOSSES)(_call)
        pending: dict[Any, int] = {}
        given = 0
        try:
            shared = ray.put(work)
            while given < len(items) or pending:
                window = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 0)))
                while given < len(items) and len(pending) < window:
                    pending[task.remote(shared, items[given])] = given
                    given += 1
                for ref in ray.wait(list(pending), num_returns=1)[0]:
                    yield pending.pop(ref), ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except (ConnectionError, ray.exceptions.RayError) as error:
            raise LinkLostError(
                f"the Ray cluster at {self.address} was lost",
                str(error).strip().partition("\n")[0][:200],
                "the same command, which goes on, once the cluster is up",
            ) from error
        finally:
            with suppress(ConnectionError, ray.exceptions.RayError):
                for ref in pending:
                    ray.cancel(ref, force=True)


def _call(work: Work, item: Any) -> Any:
    import torch

    torch.set_num_threads(1)
    return work(item)


def _folder(package: str) -> str:
    file = import_module(package).__file__
    if file is None:
        raise AssertionError(f"{package} is a package with an __init__")
    return str(Path(file).parent)
