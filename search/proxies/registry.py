"""Proxies by name, built in and plugged in, and many of them computed at once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib.metadata import entry_points

from devices.errors import InputError, UnknownNameError
from search.proxies import activations, az_nas, counts, jacobian, meco, mgm, ntk, pruning, zico
from search.proxies.base import Proxy, Score
from search.proxies.context import ScoreContext

ENTRY_POINT_GROUP = "lutier.proxies"
_BUILT_IN = {
    proxy.name: proxy
    for proxy in (
        counts.parameters,
        counts.flops,
        mgm.mgm,
        mgm.mgm_batch,
        mgm.mgm_layers,
        mgm.mgm_per_parameter,
        pruning.grad_norm,
        pruning.snip,
        pruning.grasp,
        pruning.fisher,
        pruning.synflow,
        activations.naswot,
        jacobian.jacob_cov,
        ntk.ntk_condition,
        activations.linear_regions,
        zico.zico,
        zico.zico_signed,
        activations.swap,
        meco.meco,
        az_nas.az_expressivity,
        az_nas.az_progressivity,
        az_nas.az_trainability,
    )
}


def proxy_names() -> tuple[str, ...]:
    """Names of all proxies: those built in, in the order of the docs, then those plugged in."""
    plugged = {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return (*_BUILT_IN, *sorted(plugged - set(_BUILT_IN)))


def open_proxy(name: str) -> Proxy:
    """The proxy of that name.

    Raises:
        UnknownNameError: with the nearest names.
        InputError: a plug-in that is not a proxy.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            plugged = entry.load()
            if not isinstance(plugged, Proxy):
                raise InputError(
                    f"the plug-in {entry.value} of {ENTRY_POINT_GROUP} is not a Proxy",
                    f"it is a {type(plugged).__name__}",
                    "decorate it with search.proxies.base.proxy",
                )
            return plugged
    raise UnknownNameError.of("proxy", name, proxy_names())


def score(context: ScoreContext, names: Iterable[str]) -> dict[str, Score]:
    """What each proxy says of one network.

    Passes that several share are run once; how long they took is in
    :attr:`ScoreContext.shared_seconds`. A proxy that fails says why, and the others go on.

    Args:
        context: the network and a batch.
        names: of the proxies.

    Raises:
        UnknownNameError: no such proxy.
    """
    scores: dict[str, Score] = {}
    for proxy in [open_proxy(name) for name in names]:
        start, shared = time.perf_counter(), sum(context.shared_seconds.values())
        value, failure = None, ""
        try:
            value = proxy(context)
        # torch raises the latter for shapes and for factorisations that do not converge.
        except (InputError, RuntimeError) as error:
            failure = str(error).partition("\n")[0]
        shared = sum(context.shared_seconds.values()) - shared
        scores[proxy.name] = Score(value, failure, time.perf_counter() - start - shared)
    return scores
