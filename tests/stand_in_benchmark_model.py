"""A stand-in for ``benchmark_model`` that times the model it is given for real.

What is sent to a phone has to be a program of its own. Here it is a small one that hands its
arguments to a server in the process of the tests; that runs the model in LiteRT.
"""

from __future__ import annotations

import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from benchmark_model_run import BenchmarkRun, KilledError, Run

MISSING = "needs a C compiler: apt-get install gcc"
_NAME = "benchmark_model"
_FRAME = struct.Struct("<cI")
_EXIT, _DIE = b"x", b"k"

_CLIENT = r"""
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char request[1 << 16];
static uint32_t size = 4;

static void add(const char *word) {
    size_t length = strlen(word) + 1;
    if (size + length > sizeof request) _exit(125);
    memcpy(request + size, word, length);
    size += length;
}

static void copy(int to, const char *data, size_t left) {
    while (left) {
        ssize_t written = write(to, data, left);
        if (written <= 0) _exit(125);
        data += written;
        left -= written;
    }
}

static void take(int from, void *data, size_t left) {
    char *end = data;
    while (left) {
        ssize_t got = read(from, end, left);
        if (got <= 0) _exit(125);
        end += got;
        left -= got;
    }
}

int main(int count, char **words) {
    const char *path = getenv("LUTIER_STAND_IN"), *dies = getenv("LUTIER_STAND_IN_DIES");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int link = socket(AF_UNIX, SOCK_STREAM, 0);
    char here[4096];
    if (!path || strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "this stand-in needs a server: LUTIER_STAND_IN\n");
        return 125;
    }
    strcpy(address.sun_path, path);
    if (connect(link, (struct sockaddr *)&address, sizeof address) || !getcwd(here, sizeof here)) {
        perror("stand-in");
        return 125;
    }
    add(dies ? dies : "");
    add(here);
    for (int n = 1; n < count; n++) add(words[n]);
    uint32_t length = size - 4;
    memcpy(request, &length, 4);
    copy(link, request, size);
    for (;;) {
        struct { char kind; uint32_t size; } __attribute__((packed)) frame;
        static char data[1 << 16];
        take(link, &frame, sizeof frame);
        if (frame.kind == 'x') return (int)frame.size;
        if (frame.kind == 'k') {
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            signal((int)frame.size, SIG_DFL);
            raise((int)frame.size);
        }
        while (frame.size) {
            size_t part = frame.size < sizeof data ? frame.size : sizeof data;
            take(link, data, part);
            copy(frame.kind == '2' ? 2 : 1, data, part);
            frame.size -= part;
        }
    }
}
"""


def build(folder: Path) -> Path:
    """The program, compiled unless it lies there already; a named skip without a compiler."""
    program = folder / _NAME
    if program.exists():
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{_NAME}.c"
    source.write_text(_CLIENT)
    subprocess.run([compiler, "-O1", "-o", program, source], check=True)
    return program


class BenchmarkServer:
    """Runs what the programs are asked to run, one at a time.

    Args:
        dialect: ``new``, or ``old`` for a build whose own lines have no ``INFO:``, which knows no
            percentiles, and runs models without XNNPACK unless told.

    Attributes:
        address: socket that the program finds in ``LUTIER_STAND_IN``.
        runs: those that have ended, the oldest first.
        deaths: what ``LUTIER_STAND_IN_DIES`` was in runs that were killed by it.
    """

    def __init__(self, dialect: str = "new") -> None:
        if dialect not in ("new", "old"):
            raise ValueError(f"no such dialect: {dialect!r}")
        self.dialect = dialect
        self.runs: list[BenchmarkRun] = []
        self.deaths: list[str] = []
        # The path of a socket has to be short.
        self._folder = Path(tempfile.mkdtemp(prefix="lutier-stand-in-"))
        self.address = str(self._folder / "socket")
        self._turn = threading.Lock()
        self._closed = False
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.address)
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> BenchmarkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and what it still runs."""
        if self._closed:
            return
        self._closed = True
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        self._listening.close()
        shutil.rmtree(self._folder)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as words:
            (size,) = struct.unpack("<I", words.read(4))
            dies, here, *arguments = words.read(size)[:-1].decode().split("\0")

            def send(kind: bytes, text: str) -> None:
                data = text.encode()
                client.sendall(_FRAME.pack(kind, len(data)) + data)

            with self._turn:
                run = Run(
                    Path(here),
                    arguments,
                    send=send,
                    stop=lambda: self._closed or _is_gone(client),
                    old=self.dialect == "old",
                    dies_by=int(dies.split()[0]) if dies else 0,
                )
                try:
                    status = run.whole()
                except KilledError as killed:
                    status = 128 + killed.signal
                    if dies:
                        self.deaths.append(dies)
                except OSError:
                    # The program has ended: the link broke, or its time was up.
                    return
                self.runs.append(run.record(status))
            kind, code = (_DIE, status - 128) if status > 128 else (_EXIT, status)
            with suppress(OSError):
                client.sendall(_FRAME.pack(kind, code))


def _is_gone(client: socket.socket) -> bool:
    """Whether a program has hung up."""
    readable, _, _ = select.select([client], [], [], 0)
    return bool(readable) and not client.recv(1, socket.MSG_PEEK)
