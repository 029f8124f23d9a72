"""A Ray cluster to work on: found or started, and looked at before the work begins."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import AutointerpError, MissingDependency, ParameterError
from autointerp_core.extraction.ray_engine import probe
from autointerp_core.extraction.record import PACKAGES

INSTALL = 'pip install "ray==2.60.0"'
LOCAL = "local"
_PATIENCE = 5.0
"""Seconds an address has to answer."""
_PROBE_SECONDS = 120.0
_OURS = "autointerp-explorer"


@dataclass(frozen=True)
class Cluster:
    """What there is to work with."""

    ray: Any
    cpus: int
    gpus: int


def import_ray() -> Any:
    """Ray's module.

    Raises:
        MissingDependency: it is not installed.
    """
    # Before the import, which reads them: no report to anybody, no GPU hidden from CPU workers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependency(
            f"engine 'ray' needs the package ray, which is not installed; {INSTALL}"
        ) from error
    return ray


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """A cluster, given back at the end; one that is connected already is taken, and left.

    Args:
        address: ``auto`` (the cluster this machine belongs to), ``local`` or None (one of this
            machine alone, for this run), ``host:port``, or ``ray://host:port``.

    Raises:
        ParameterError: no cluster answers there, or its versions are others.
        MissingDependency: Ray is not installed.
    """
    ray = import_ray()
    mine = not ray.is_initialized()
    if mine:
        _connect(ray, address)
    try:
        resources = ray.cluster_resources()
        yield Cluster(ray, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))
    finally:
        if mine:
            ray.shutdown()


def is_local(address: str | None) -> bool:
    """Whether this address means a cluster that is started for one run, on this machine."""
    return (address or LOCAL).strip() == LOCAL and not import_ray().is_initialized()


def _connect(ray: Any, address: str | None) -> None:
    given = (address or LOCAL).strip()
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if given == LOCAL:
            # Worker processes find this package where this process found it.
            path = os.pathsep.join([_package_root(), os.environ.get("PYTHONPATH", "")])
            env = {"env_vars": {"PYTHONPATH": path.strip(os.pathsep)}}
            ray.init(
                address="local",
                include_dashboard=False,
                configure_logging=False,
                num_cpus=len(os.sched_getaffinity(0)),
                runtime_env=env,
                **quiet,
            )
            return
        if given != "auto":
            _check_reachable(given)
        ray.init(address=given, **quiet)
    except (ConnectionError, TimeoutError) as error:
        raise ParameterError(
            f"no Ray cluster answers at ray_address={given!r}: start one with 'ray start --head', "
            "give the address that it prints, or use local"
        ) from error
    except RuntimeError as error:
        if "ersion" not in str(error):
            raise AutointerpError(f"Ray cannot start: {one_line(error)}") from error
        raise ParameterError(
            f"the Ray cluster at {given!r} was started with other versions than here: "
            f"{one_line(error)}; use the same Python and ray on every machine"
        ) from error


def _check_reachable(address: str) -> None:
    """Refuse at once what Ray would wait a minute for."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise ParameterError(
            f"ray_address is {address!r}; expected auto, local, host:port or ray://host:port"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE):
            pass
    except (OSError, OverflowError) as error:
        raise ParameterError(
            f"no Ray cluster answers at ray_address={address!r} ({error}): is it running, and is "
            "the port open from here?"
        ) from error


def check_versions(cluster: Cluster) -> None:
    """Every node must have what the driver has: other versions give other numbers.

    Raises:
        ParameterError: a node differs; says which, and in what.
    """
    ray = cluster.ray
    ray.cloudpickle.register_pickle_by_value(probe)
    packages = (_OURS, *PACKAGES)
    here = probe.describe(packages)
    described = ray.remote(num_cpus=0)(probe.describe)
    places = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = [
        described.options(scheduling_strategy=places(node["NodeID"], soft=False)).remote(packages)
        for node in ray.nodes()
        if node["Alive"]
    ]
    try:
        found = ray.get(asked, timeout=_PROBE_SECONDS)
    except ray.exceptions.RayError as error:
        raise AutointerpError(
            f"a node of the Ray cluster does not answer: {one_line(error)}"
        ) from error
    for there in found:
        told = _differences(here, there)
        if told:
            raise ParameterError(
                f"Ray node {there['host']} differs from here in {told}; install the same versions "
                "on every machine (pip install -r requirements.txt)"
            )


def _differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} ({there[name] or 'not installed'} there, {here[name] or 'not installed'} here)"
        for name in here
        # Run from a checkout, this package is installed nowhere.
        if name != "host" and there[name] != here[name] and (name != _OURS or here[name])
    )


def _package_root() -> str:
    import autointerp_core

    return str(Path(autointerp_core.__file__).parents[1])


def one_line(error: BaseException) -> str:
    """What an error says, in one line that can be read."""
    return " ".join(str(error).split())[:300]
