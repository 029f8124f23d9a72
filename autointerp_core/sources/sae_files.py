"""Finding the one SAE asked for: on disk, on the hub, in a release."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp_core.errors import HookError, SAESourceError
from autointerp_core.sources.hooks import HookPoint
from autointerp_core.sources.hub import hub_errors
from autointerp_core.sources.layouts import LAYOUTS, Place, described, places_in
from autointerp_core.sources.layouts.saelens import CONFIG_NAME
from autointerp_core.sources.paths import listing, shortened
from autointerp_core.sources.releases import Release, find_release
from autointerp_core.sources.sae_config import read_json

DEMO = "demo"
# Releases nest as deep as layer/width/l0.
_MAX_DEPTH = 3
# What says what there is in a repository, small enough to download whole.
_CONFIGS = ["*.json", "*.yaml", "*.yml"]
_NOT_CONFIGS = ["*tokenizer*.json", "*vocab*.json", "*.index.json", "*eval_results*.json"]
# Weight files of layouts that are told by their files alone.
_BARE_WEIGHTS = re.compile(
    r"params\.npz|params\.safetensors|params_layer_\d+\.safetensors|layer\d+\.sae\.pt"
    r"|.+-SAE-l\d+\.pth?|layer_\d+\.safetensors|W_enc_\d+\.safetensors"
)
_SUFFIXES = (".safetensors", ".sae.pt", ".pth", ".pt")


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
    place: Place | None = None
    """None for a release, which SAELens' own loaders read."""


def locate(sae_path: str, sae_id: str | None) -> LocatedSAE:
    """Find an SAE's config; downloads weights only where nothing else says what it is.

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
    if os.path.isfile(path) and (found := _file(path, given, sae_id)) is not None:
        return found
    if os.path.exists(path):
        raise SAESourceError(
            f"{given} is a file; give the folder that holds the SAE's config and weights. "
            f"Supported are {described()}"
        )
    if (release := find_release(given)) is not None:
        return _in_release(release, sae_id)
    if path.is_absolute() or given.startswith((".", "~")) or given.count("/") != 1:
        raise SAESourceError(
            f"SAE {given!r} was not found: no such folder, SAELens release or hub repository"
        )
    return _in_repository(given, sae_id)


def all_ids(sae_path: str) -> list[str]:
    """The name of every SAE in a folder, release or repository, layer after layer.

    Raises:
        SAESourceError: there is none.
    """
    given = str(sae_path).strip()
    path = Path(given).expanduser()
    if os.path.isdir(path):
        found = list(_below(path, "", ""))
    elif (release := find_release(given)) is not None:
        found = sorted(release.saes, key=_natural)
    else:
        from huggingface_hub import snapshot_download

        with hub_errors(SAESourceError, "SAE", given):
            root = snapshot_download(given, allow_patterns=_CONFIGS, ignore_patterns=_NOT_CONFIGS)
        found = list(_below(Path(root).resolve(), given.rsplit("/", 1)[-1], ""))
    if not found:
        raise SAESourceError(f"{given} holds no SAE below it; leave sae_id out, or name one")
    return found


def with_weights(located: LocatedSAE) -> LocatedSAE:
    """Download the weights beside the config, where it came from the hub."""
    place = located.place
    if located.repo is None or located.root is None or place is None:
        return located
    from huggingface_hub import snapshot_download

    inside = place.folder.relative_to(located.root).as_posix()
    prefix = "" if inside == "." else f"{inside}/"
    with hub_errors(SAESourceError, "SAE", located.repo):
        for pattern in LAYOUTS[place.layout].patterns(place):
            # The snapshot folder is named by its commit: config and weights of one revision.
            snapshot_download(
                located.repo,
                revision=located.root.name,
                allow_patterns=[prefix + pattern],
                ignore_patterns=[] if "/" in pattern else [f"{prefix}*/*"],
            )
            if pattern.endswith(".safetensors") and any(place.folder.glob(pattern)):
                break  # the same weights as a pickle are not needed then
    return located


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


# --- in a folder -------------------------------------------------------------------------------


def _file(path: Path, given: str, sae_id: str | None) -> LocatedSAE | None:
    """The SAE that is one file, where the path names it."""
    for place in places_in(path.resolve().parent):
        if place.entry == path.name:
            hook = HookPoint.parse(sae_id) if sae_id else None
            return LocatedSAE(given, place.folder, hook, place=place)
    return None


def _in_folder(root: Path, sae_id: str | None, given: str, repository: str = "") -> LocatedSAE:
    root = root.resolve()
    own = places_in(root, repository)
    if own and not own[0].entry and (sae_id is None or not (root / sae_id).is_dir()):
        return _itself(own[0], sae_id, given)
    inside = _below(root, repository, sae_id)
    if not inside:
        raise SAESourceError(
            f"no SAE in {given} or below it; it holds {listing(root)}; no {CONFIG_NAME} and none "
            f"of the other layouts known: {described()}"
        )
    if sae_id is None:
        if len(inside) > 1:
            raise SAESourceError(
                f"{given} holds several SAEs, say which by sae_id: {shortened(list(inside))}"
            )
        name = next(iter(inside))
    else:
        name = _named(inside, sae_id) or _by_hook(inside, sae_id, given)
    place = inside[name]
    return LocatedSAE(f"{given}/{name}", place.folder, place=place)


def _itself(place: Place, sae_id: str | None, given: str) -> LocatedSAE:
    """The folder given is the SAE's own; a hook asked for must then be its own too."""
    if sae_id is None:
        return LocatedSAE(given, place.folder, place=place)
    asked = HookPoint.parse(sae_id)
    own = LAYOUTS[place.layout].hooks(place).hook()
    if own is not None and own != asked:
        raise SAESourceError(
            f"{given} holds the SAE of {own.name}, not of {asked.name}; "
            "give the other SAE's folder, or this sae_id"
        )
    return LocatedSAE(given, place.folder, asked, place=place)


def _named(inside: dict[str, Place], sae_id: str) -> str | None:
    """The one of that name, with or without its file's ending."""
    if sae_id in inside:
        return sae_id
    return next((name for name in inside if name in {sae_id + end for end in _SUFFIXES}), None)


def _by_hook(inside: dict[str, Place], sae_id: str, given: str) -> str:
    """Which of several SAEs is the one of this hook."""
    there = shortened(list(inside))
    try:
        asked = HookPoint.parse(sae_id)
    except HookError as error:
        raise HookError(f"{error}; {given} holds {there}") from error
    matching = [name for name, place in inside.items() if _hook_or_none(place) == asked]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise SAESourceError(
            f"{given} holds several SAEs of {asked.name}, give one of these as sae_id: "
            f"{shortened(matching)}"
        )
    raise SAESourceError(f"{given} holds no SAE of {asked.name}; it holds {there}")


def _hook_or_none(place: Place) -> HookPoint | None:
    try:
        return LAYOUTS[place.layout].hooks(place).hook()
    except (SAESourceError, HookError):
        return None  # another hook's, or not ours to read: it is not the one asked for


def _below(root: Path, repository: str, sae_id: str | None) -> dict[str, Place]:
    """Every SAE in ``root`` and below, by its path from there.

    Raises:
        SAESourceError: the folder asked for has the marks of two layouts.
    """
    found: dict[str, Place] = {}
    for folder in _folders(root, _MAX_DEPTH):
        name = "" if folder == root else folder.relative_to(root).as_posix()
        try:
            places = places_in(folder, repository)
        except SAESourceError:
            # Said of the folder that is asked for; another one's trouble is not this one's.
            if sae_id in (None, name):
                raise
            continue
        for place in places:
            if name or place.entry:
                found["/".join(filter(None, (name, place.entry)))] = place
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def _folders(root: Path, depth: int) -> Iterator[Path]:
    yield root
    if depth == 0:
        return
    try:
        below = [entry for entry in os.scandir(root) if entry.is_dir()]
    except OSError:
        return  # not ours to read: what is in there is not found
    for entry in below:
        if not entry.name.startswith("."):
            yield from _folders(root / entry.name, depth - 1)


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts ``layers.9`` before ``layers.10``."""
    parts = re.split(r"[./_-]|(?<=\D)(?=\d)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


# --- on the hub --------------------------------------------------------------------------------


def _in_repository(repo: str, sae_id: str | None) -> LocatedSAE:
    from huggingface_hub import snapshot_download

    with hub_errors(
        SAESourceError, "SAE", repo, local_hint="a local folder in a layout that is supported"
    ):
        # Configs are small, and all of them are needed to say what is there. Works from the
        # cache too, where the hub is out of reach.
        root = Path(snapshot_download(repo, allow_patterns=_CONFIGS, ignore_patterns=_NOT_CONFIGS))
    name = repo.split("/")[1]
    there = _what_is_there(root.resolve(), name)
    if not there:
        _fetch_bare(repo, root, sae_id)
    elif (sae_id is None or _named(there, sae_id) is None) and all(
        LAYOUTS[place.layout].config_reads_weights for place in there.values()
    ):
        # Only what was asked for before is in the cache: ask what else the repository has.
        with contextlib.suppress(SAESourceError):  # the cache may do, or says what it has
            _fetch_bare(repo, root, sae_id)
    found = _in_folder(root, sae_id, repo, name)
    located = LocatedSAE(
        source=f"{found.source} (hub, {root.name[:8]})",
        # The cache's files are links into its blobs: the resolved folder is the snapshot's.
        folder=found.folder,
        hook=found.hook,
        repo=repo,
        root=root.resolve(),
        place=found.place,
    )
    if found.place is not None and LAYOUTS[found.place.layout].config_reads_weights:
        return with_weights(located)
    return located


def _what_is_there(root: Path, repository: str) -> dict[str, Place]:
    own = {place.entry: place for place in places_in(root, repository)}
    return own | _below(root, repository, "")


def _fetch_bare(repo: str, root: Path, sae_id: str | None) -> None:
    """Download the weights asked for, of a repository that only its files' names explain."""
    from huggingface_hub import HfApi, snapshot_download

    with hub_errors(SAESourceError, "SAE", repo):
        files = HfApi().list_repo_files(repo, revision=root.name)
    bare = {
        path
        if path.count("/") == 0 or not path.endswith(("params.npz", "params.safetensors"))
        else path.rsplit("/", 1)[0]: path
        for path in files
        if _BARE_WEIGHTS.fullmatch(path.rsplit("/", 1)[-1])
    }
    if not bare:
        raise SAESourceError(
            f"the hub repository {repo} holds no SAE: no {CONFIG_NAME} and none of the other "
            f"layouts known ({described()}); it holds {shortened(files)}"
        )
    chosen = sae_id if sae_id in bare else None
    if chosen is None and sae_id is not None:
        chosen = next((name for name in bare if name in {sae_id + end for end in _SUFFIXES}), None)
    if chosen is None and len(bare) == 1:
        chosen = next(iter(bare))
    if chosen is None:
        asked = f"holds no {sae_id!r}" if sae_id else "holds several SAEs, say which by sae_id"
        raise SAESourceError(f"{repo} {asked}: {shortened(list(bare))}")
    with hub_errors(SAESourceError, "SAE", repo):
        snapshot_download(repo, revision=root.name, allow_patterns=[bare[chosen]])


# --- SAELens' directory ------------------------------------------------------------------------


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
        config = {**read_json(located.folder / CONFIG_NAME), **release.overrides}
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
