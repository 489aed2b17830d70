"""KNAS from the model of a target to trained finalists and a measured winner."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

from lutier.opening import open_measured
from lutier.progress import Bar
from lutier.results import SearchResult, save_result
from lutier.searching import MAX_ATTEMPTS, Bench, Request, over_budget
from lutier.settings import Settings
from lutier.working import open_workers
from search.knas import KnasConfig, knas_search


def search_knas(
    settings: Settings,
    request: Request,
    config: KnasConfig,
    *,
    workers: int = 1,
    cluster: str | None = None,
) -> SearchResult:
    """KNAS, each finalist measured before any is trained, the winner measured after.

    Args:
        settings: where tables and models are.
        request: what is searched for.
        config: how networks are drawn and scored.
        workers: processes that score and train.
        cluster: address of a Ray cluster that does, ``ray://HOST:PORT``.

    Raises:
        LutierError: as :class:`Bench`, :func:`lutier.working.open_workers` and
            :func:`search.knas.knas_search` do; BudgetError where no finalist was within the budget
            when it was measured.
    """
    start = time.monotonic()
    with (
        open_workers(workers, cluster, request.training.device) as hands,
        request.tracking("knas") as tracker,
        open_measured(settings, request.target) as device,
    ):
        bench = Bench(settings, request, device, tracker)
        config = replace(config, seed=request.seed, train=bench.train_config)
        with Bar("scoring", config.pool_size or 1, quiet=request.quiet) as bar:
            found = knas_search(
                bench.space,
                bench.latency,
                bench.data,
                bench.asked_ms,
                config,
                admit=bench.measure,
                checkpoint=request.folder / "finalists",
                on_progress=lambda stage, done, total: bar.update(
                    done, total=total, label=_STAGES[stage]
                ),
                workers=hands,
            )
        for finalist in found.finalists:
            for epoch, loss in enumerate(finalist.train_loss, 1):
                tracker.log({f"train/{finalist.architecture.code}/loss": loss}, epoch)
        for finalist in found.ranking[:MAX_ATTEMPTS]:
            architecture = finalist.architecture
            network = bench.space.build(architecture).eval()
            network.load_state_dict(found.weights[architecture])
            verified = bench.verify(architecture, network)
            if verified.summary.median_ms <= request.budget_ms:
                break
        else:
            raise over_budget(request, architecture, verified)
        details = {
            "config": asdict(config),
            "workers": {"count": workers, "cluster": cluster},
            "funnel": {**asdict(found.funnel), "steps": found.funnel.steps()},
            "finalists": [
                {**asdict(one), "architecture": one.architecture.id} for one in found.finalists
            ],
        }
        result = bench.result(
            "knas",
            architecture,
            verified,
            (finalist.test_accuracy, finalist.validation_accuracy),
            time.monotonic() - start,
            details,
        )
    save_result(request.folder, result, network.state_dict())
    return result


_STAGES = {"score": "scoring", "measure": "measuring finalists", "train": "training finalists"}
