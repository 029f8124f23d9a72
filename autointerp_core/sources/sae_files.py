"""Finding the one folder that holds the SAE asked for: on disk, on the hub, in a release."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import HookError, SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.hub import hub_errors
from autointerp_core.sources.paths import listing, shortened
from autointerp_core.sources.releases import Release, find_release
from autointerp_core.sources.sae_config import CONFIG_NAME, hook_text, is_sparsify, read_config

DEMO = "demo"
# SAELens releases nest as deep as layer/width/l0.
_MAX_DEPTH = 3


@dataclass(frozen=True)
class LocatedSAE:
    """Where one SAE lies. Its weights may not be downloaded yet: see :func:`with_weights`."""

    source: str
    folder: Path | None = None
    hook: HookPoint | None = None
    """Known from the request where neither config nor folder name says it."""
    repo: str | None = None
    root: Path | None = None
    """The snapshot's root folder, where it comes from a hub repository."""
    release: Release | None = None
    release_id: str = ""


def locate(sae_path: str, sae_id: str | None) -> LocatedSAE:
    """Find an SAE's config; downloads nothing but configs.

    Raises:
        SAESourceError: nothing there, not the one asked for, or several and none was named.
        HookError: ``sae_id`` is needed as a hook name and is none.
    """
    given = str(sae_path).strip()
    if not given:
        raise SAESourceError(
            "no SAE given; expected a folder, a SAELens release, a hub repository, or demo"
        )
    sae_id = sae_id.strip() or None if sae_id is not None else None
    if given == DEMO:
        return _demo()
    path = Path(given).expanduser()
    # os.path, unlike pathlib, takes an absurd or forbidden path for an absent one.
    if os.path.isdir(path):
        return _in_folder(path, sae_id, given)
    if os.path.exists(path):
        raise SAESourceError(
            f"{given} is a file; give the folder that holds {CONFIG_NAME} and the weights"
        )
    if (release := find_release(given)) is not None:
        return _in_release(release, sae_id)
    if path.is_absolute() or given.startswith((".", "~")) or given.count("/") != 1:
        raise SAESourceError(
            f"SAE {given!r} was not found: no such folder, SAELens release or hub repository"
        )
    return _in_repository(given, sae_id)


def _demo() -> LocatedSAE:
    """The bundled SAE. It is one, so whatever sae_id says, this is the one meant."""
    from autointerp_core.sources import demo

    try:
        folder = Path(demo.demo_sae_path())
    except (StopIteration, OSError):
        folder = None
    if folder is None or not (folder / CONFIG_NAME).is_file():
        raise SAESourceError(
            f"the demo SAE is missing in {demo.demo_root() / 'sae'}: check the project out again"
        )
    return _in_folder(folder, None, DEMO)


def with_weights(located: LocatedSAE) -> LocatedSAE:
    """Download the weights beside the config, where it came from the hub."""
    if located.repo is None or located.root is None or located.folder is None:
        return located
    from huggingface_hub import snapshot_download

    inside = located.folder.relative_to(located.root).as_posix()
    prefix = "" if inside == "." else f"{inside}/"
    with hub_errors(SAESourceError, "SAE", located.repo):
        # The snapshot folder is named by its commit: config and weights of one revision.
        snapshot_download(
            located.repo,
            revision=located.root.name,
            allow_patterns=[prefix + CONFIG_NAME, f"{prefix}*.safetensors"],
            ignore_patterns=[f"{prefix}*/*"],
        )
        if not any(located.folder.glob("*.safetensors")):
            snapshot_download(
                located.repo,
                revision=located.root.name,
                allow_patterns=[f"{prefix}*.pt", f"{prefix}*.bin"],
                ignore_patterns=[f"{prefix}*/*"],
            )
    return located


def _in_folder(root: Path, sae_id: str | None, given: str) -> LocatedSAE:
    if sae_id and (root / sae_id / CONFIG_NAME).is_file():
        return LocatedSAE(f"{given}/{sae_id}", (root / sae_id).resolve())
    if (root / CONFIG_NAME).is_file():
        return _itself(root, sae_id, given)
    inside = _configs_below(root)
    if not inside:
        raise SAESourceError(
            f"no {CONFIG_NAME} in {given} or below it; it holds {listing(root)}; expected "
            "SAELens' or sparsify's layout"
        )
    if sae_id is None:
        if len(inside) > 1:
            raise SAESourceError(
                f"{given} holds several SAEs, say which by sae_id: {shortened(list(inside))}"
            )
        name = next(iter(inside))
    else:
        name = _by_hook(inside, sae_id, given)
    return LocatedSAE(f"{given}/{name}", inside[name].resolve())


def _itself(folder: Path, sae_id: str | None, given: str) -> LocatedSAE:
    """The folder given is the SAE's own; a hook asked for must then be its own too."""
    folder = folder.resolve()
    if sae_id is None:
        return LocatedSAE(given, folder)
    asked = HookPoint.parse(sae_id)
    own = hook_text(read_config(folder), folder.name)
    if own is not None and HookPoint.parse(own) != asked:
        raise SAESourceError(
            f"{given} holds the SAE of {HookPoint.parse(own).name}, not of {asked.name}; "
            "give the other SAE's folder, or this sae_id"
        )
    return LocatedSAE(given, folder, hook=asked)


def _by_hook(inside: dict[str, Path], sae_id: str, given: str) -> str:
    """Which of several folders is the one of this hook."""
    there = shortened(list(inside))
    try:
        asked = HookPoint.parse(sae_id)
    except HookError as error:
        raise HookError(f"{error}; {given} holds {there}") from error
    matching = [name for name, folder in inside.items() if _hook_or_none(folder) == asked]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise SAESourceError(
            f"{given} holds several SAEs of {asked.name}, give one of these as sae_id: "
            f"{shortened(matching)}"
        )
    raise SAESourceError(f"{given} holds no SAE of {asked.name}; it holds {there}")


def _hook_or_none(folder: Path) -> HookPoint | None:
    try:
        text = hook_text(read_config(folder), folder.name)
        return HookPoint.parse(text) if text else None
    except (SAESourceError, HookError):
        return None  # another hook's, or not ours to read: it is not the one asked for


def _configs_below(root: Path) -> dict[str, Path]:
    found = {
        folder.relative_to(root).as_posix(): folder
        for depth in range(1, _MAX_DEPTH + 1)
        for path in root.glob("/".join(["*"] * depth + [CONFIG_NAME]))
        if (folder := path.parent) and _is_sae(folder)
    }
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def _is_sae(folder: Path) -> bool:
    try:
        config = read_config(folder)
    except SAESourceError:
        return True  # broken, but there: let it be chosen and say what is wrong with it
    return "d_in" in config or is_sparsify(config)


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts ``layers.9`` before ``layers.10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _in_repository(repo: str, sae_id: str | None) -> LocatedSAE:
    from huggingface_hub import snapshot_download

    with hub_errors(
        SAESourceError, "SAE", repo, local_hint="a local folder in SAELens' or sparsify's layout"
    ):
        # Configs are small, and all of them are needed to say what is there. Works from the
        # cache too, where the hub is out of reach.
        root = Path(snapshot_download(repo, allow_patterns=[f"*{CONFIG_NAME}", "config.json"]))
    if not any(root.rglob(CONFIG_NAME)):
        raise SAESourceError(
            f"the hub repository {repo} holds no {CONFIG_NAME}: no SAE in SAELens' or "
            "sparsify's layout"
        )
    found = _in_folder(root, sae_id, repo)
    return LocatedSAE(
        source=f"{found.source} (hub, {root.name[:8]})",
        # The cache's files are links into its blobs: the resolved folder is the snapshot's.
        folder=found.folder,
        hook=found.hook,
        repo=repo,
        root=root.resolve(),
    )


def _in_release(release: Release, sae_id: str | None) -> LocatedSAE:
    chosen, entry = release.entry(sae_id)
    source = f"SAELens release {release.name}, {chosen}"
    if release.conversion is not None:
        return LocatedSAE(source, release=release, release_id=chosen)
    from huggingface_hub import snapshot_download

    name = f"{entry['path']}/{CONFIG_NAME}"
    with hub_errors(SAESourceError, "SAE", release.repo_id):
        # Unlike hf_hub_download it does not retry for half a minute where there is no network.
        folder = Path(snapshot_download(release.repo_id, allow_patterns=[name])) / entry["path"]
    return LocatedSAE(source, folder, release=release, release_id=chosen)


def release_config(located: LocatedSAE) -> dict[str, Any]:
    """The config of an SAE of a release, with what SAELens' list adds to it.

    Imports sae_lens (and so torch) where only its converter can read the repository.
    """
    release = located.release
    assert release is not None
    entry = release.saes[located.release_id]
    if located.folder is not None:
        config = {**read_config(located.folder), **release.overrides}
        if isinstance(config.get("metadata"), dict):
            config["metadata"] = {**config["metadata"], **release.overrides}
    else:
        from sae_lens.loading.pretrained_sae_loaders import load_sae_config_from_huggingface

        with hub_errors(SAESourceError, "SAE", release.repo_id):
            config = load_sae_config_from_huggingface(release.name, located.release_id)
    about = config.get("metadata") if isinstance(config.get("metadata"), dict) else config
    assert about is not None
    for key in ("variance_explained", "l0"):
        if entry.get(key):
            about.setdefault(key, entry[key])
    about.setdefault("model_name", release.model)
    return config
