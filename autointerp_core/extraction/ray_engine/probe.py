"""What a node of a cluster is: run there before any work, so nothing of ours is imported.

Sent to nodes as source (``register_pickle_by_value``): it must run where this package is missing
or old, to be able to say so.
"""

from __future__ import annotations


def describe(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions on this node: of Python, and of each package (empty where it is absent)."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"host": platform.node(), "python": ".".join(platform.python_version_tuple()[:2])}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found
