"""A simulated phone on a real adb server, with a stand-in for the program that measures on it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class CommandLine:
    """``lutier`` in processes of its own, with a database of its own."""

    def __init__(self, bench: PhoneBench, folder: Path) -> None:
        self.file = folder / "lutier.db"
        self.environment = {
            **os.environ,
            **bench.adb.environment(),
            **bench.variables(),
            "LUTIER_DB": f"sqlite:///{self.file}",
            "LUTIER_HOME": str(folder / "home"),
            "LUTIER_ANDROID_PATIENCE": "60",
        }

    def start(self, *words: str, folder: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lutier", *words],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, status: int = 0, folder: Path | None = None) -> tuple[str, str]:
        process = self.start(*words, folder=folder)
        out, err = process.communicate(timeout=250)
        assert process.returncode == status, out + err
        return out, err

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json")[0])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if not self.file.exists():
            return []
        connection = sqlite3.connect(self.file)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
