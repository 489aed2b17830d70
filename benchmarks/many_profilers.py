"""Several profilers, one table: is every op measured once, and none lost when one is killed?

Starts some ``lutier profile`` processes on one space into one PostgreSQL, kills one of them with
SIGKILL while it measures, waits for the others, and counts what is in the database. Without --db it
starts a server of its own (``apt-get install postgresql``, ``pip install 'lutier[postgres]'``).

All run on this machine and disturb each other: the latencies are not the point here.

    python benchmarks/many_profilers.py --json many_profilers.json
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from _postgres import find_programs, throwaway_server
from _reporting import finish, header

from profiler.storage.database import MeasurementStore
from profiler.storage.schema import DONE, ClaimRow, MeasurementRow, VisitRow, WorkerRow

POLL_S = 0.1
LONGEST_S = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--db", metavar="URL", help="an empty database, instead of a new server's")
    parser.add_argument("--space", default="mobile-tiny")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--time-limit", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    document = header("many_profilers", seed=arguments.seed)
    programs = find_programs()
    missing = missing_piece(arguments.db, programs)
    if missing:
        print(f"  not run: {missing}")
        finish({**document, "results": None, "not_run": missing}, arguments.json)
        return 0
    with ExitStack() as stack:
        url = arguments.db
        if url is None and programs is not None:
            url = stack.enter_context(throwaway_server(programs))
        with MeasurementStore(url) as store:
            if store.targets():
                print("error: --db must hold no measurements yet", file=sys.stderr)
                return 2
        result = run(url, arguments)
    show(result)
    finish({**document, "results": result}, arguments.json)
    return 0 if all(result["met"].values()) else 1


def missing_piece(url: str | None, programs: Path | None) -> str | None:
    """What to install before this can run."""
    if find_spec("psycopg") is None:
        return "pip install 'lutier[postgres]'"
    if url is None and programs is None:
        return "apt-get install postgresql, or --db with the URL of an empty database"
    return None


def run(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Profile in several processes, kill one, and count."""
    command = [sys.executable, "-m", "lutier", "profile", "--db", url, "--json"]
    command += ["--device", "cpu", "--runtime", "onnxruntime", "--space", arguments.space]
    command += ["--networks", str(arguments.networks), "--time-limit", str(arguments.time_limit)]
    command += ["--seed", str(arguments.seed)]
    engine = sa.create_engine(url)
    start = time.monotonic()
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(arguments.processes)
    ]
    victim = kill_one(engine, processes, random.Random(arguments.seed))
    reports: list[dict[str, Any]] = []
    statuses = []
    for process in processes:
        output, errors = process.communicate(timeout=LONGEST_S)
        statuses.append(process.returncode)
        if process.returncode == 0:
            reports.append(json.loads(output))
        elif process is not victim:
            print(errors, file=sys.stderr)
    seconds = time.monotonic() - start
    counts = count(engine)
    engine.dispose()
    planned = reports[0]["planned"] if reports else 0
    killed = sum(status == -signal.SIGKILL for status in statuses)
    told = sum(report["measured"] for report in reports)
    return {
        "space": arguments.space,
        "processes": arguments.processes,
        "killed": killed,
        "planned": planned,
        "measured_by": [report["measured"] for report in reports],
        "measured_by_the_killed": counts["done"] - told,
        "seconds": round(seconds, 1),
        **counts,
        "met": {
            "one was killed, the others ended well": killed == 1
            and statuses.count(0) == arguments.processes - 1,
            "none is lost": counts["done"] == planned > 0,
            "none is measured twice": counts["twice"] == 0 and told <= planned,
            "no visit is doubled or missing": counts["gaps"] == 0,
            "no claim is left behind": counts["claims"] == counts["workers"] == 0,
        },
    }


def kill_one(
    engine: sa.Engine, processes: list[subprocess.Popen[str]], rng: random.Random
) -> subprocess.Popen[str]:
    """Kill the process that holds the most, once all have begun and visits are being stored."""
    holders = (
        sa.select(WorkerRow.process, sa.func.count(ClaimRow.measurement_id))
        .join(ClaimRow, ClaimRow.worker_id == WorkerRow.id, isouter=True)
        .group_by(WorkerRow.id)
        .order_by(sa.func.count(ClaimRow.measurement_id).desc())
    )
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            visits = connection.scalar(sa.select(sa.func.count()).select_from(VisitRow)) or 0
            held = connection.execute(holders).all()
        if visits and sum(claims > 0 for _, claims in held) == len(processes):
            time.sleep(rng.uniform(0, 2))
            number = int(held[0][0].split("/")[1])
            victim = next(process for process in processes if process.pid == number)
            victim.kill()
            print(f"  killed the one of {len(processes)} that held {held[0][1]} ops and networks")
            return victim
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(POLL_S)
    for process in processes:
        process.kill()
    raise SystemExit("error: the processes did not all measure at once; see their messages")


def count(engine: sa.Engine) -> dict[str, int]:
    """What the database holds."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(MeasurementRow.id, MeasurementRow.key, MeasurementRow.status)
        ).all()
        visits: dict[int, list[int]] = {}
        for number, visit in connection.execute(
            sa.select(VisitRow.measurement_id, VisitRow.number).order_by(VisitRow.number)
        ):
            visits.setdefault(number, []).append(visit)
        done = [row for row in rows if row.status == DONE]
        return {
            "rows": len(rows),
            "done": len(done),
            "twice": len(done) - len({row.key for row in done}),
            "visits": sum(map(len, visits.values())),
            "gaps": sum(
                visits.get(row.id, []) != list(range(len(visits.get(row.id, [])))) for row in rows
            ),
            "claims": connection.scalar(sa.select(sa.func.count()).select_from(ClaimRow)) or 0,
            "workers": connection.scalar(sa.select(sa.func.count()).select_from(WorkerRow)) or 0,
        }


def show(result: dict[str, Any]) -> None:
    """Print what was found."""
    print(
        f"\n{result['processes']} processes on {result['space']}, {result['killed']} killed:"
        f" {result['planned']} ops and networks planned, {result['seconds']} s"
    )
    shares = ", ".join(map(str, result["measured_by"]))
    print(f"  measured by those that lived: {shares}")
    print(f"  measured by the one that was killed: {result['measured_by_the_killed']}")
    print(
        f"  in the database: {result['done']} finished of {result['rows']} rows,"
        f" {result['twice']} twice, {result['visits']} visits, {result['gaps']} with a gap,"
        f" {result['claims']} claims left\n"
    )
    for claim, is_met in result["met"].items():
        print(f"{claim}: {'met' if is_met else 'NOT met'}")


if __name__ == "__main__":
    sys.exit(main())
