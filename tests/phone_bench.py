"""A simulated phone on a real adb server, with a stand-in for the program that measures on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback_adbd import AdbServer, LoopbackPhone, adb_server
from loopback_phone import Phone
from stand_in_benchmark_model import BenchmarkServer, build


@dataclass(frozen=True)
class PhoneBench:
    """What is needed to measure simulated phones.

    Attributes:
        adb: the server, and the program that asks it.
        phones: connected, in the order asked for.
        servers: of each phone; it runs the models, and keeps what it printed.
        program: ``benchmark_model`` for these phones.
    """

    adb: AdbServer
    phones: tuple[LoopbackPhone, ...]
    servers: tuple[BenchmarkServer, ...]
    program: Path

    @property
    def phone(self) -> LoopbackPhone:
        """The first phone."""
        return self.phones[0]

    @property
    def server(self) -> BenchmarkServer:
        """What runs the models of the first phone."""
        return self.servers[0]

    @property
    def device(self) -> str:
        """The first phone as it is named on the command line."""
        return f"android:{self.phone.serial}"

    def variables(self) -> dict[str, str]:
        """Variables with which Lutier finds all this."""
        return {
            **self.adb.variables,
            "LUTIER_ADB": str(self.adb.program),
            "LUTIER_BENCHMARK_MODEL": str(self.program),
        }


@contextmanager
def phone_bench(
    folder: Path, *phones: Phone, dialect: str = "new", monkeypatch: pytest.MonkeyPatch
) -> Iterator[PhoneBench]:
    """Simulate phones until the end of the block, and have Lutier find them in this process.

    Named skips where adb, a C compiler or LiteRT is missing.

    Args:
        folder: for all their files.
        phones: what they are; one by default.
        dialect: of the stand-in program.
        monkeypatch: sets the variables.
    """
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install 'lutier[litert]'")
    program = build(folder / "program")
    with ExitStack() as stack:
        adb = stack.enter_context(adb_server(folder / "adb"))
        kinds = phones or (Phone(),)
        servers = tuple(stack.enter_context(BenchmarkServer(dialect)) for _ in kinds)
        running = tuple(
            stack.enter_context(LoopbackPhone(kind, folder / f"phone{number}", server))
            for number, (kind, server) in enumerate(zip(kinds, servers, strict=True))
        )
        for phone in running:
            adb.connect(phone)
        bench = PhoneBench(adb, running, servers, program)
        for name, value in bench.variables().items():
            monkeypatch.setenv(name, value)
        yield bench
