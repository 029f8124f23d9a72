"""Where a dataset is, and how its rows are read: a file, a folder, or the hub.

Does: find it, pick its split, put the shards of a folder in order.
Does not: look into cells.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from autointerp_core.errors import DatasetSourceError
from autointerp_core.remote import RemotePath, is_remote, remote_errors
from autointerp_core.sources.hub import hub_errors, one_line
from autointerp_core.sources.paths import listing, shortened
from autointerp_core.sources.text_files import (
    RAGGED,
    READERS,
    AnyPath,
    Row,
    read_rows,
    suffix_of,
)

DEMO = "demo"
_LOCAL_HINT = "a local file or folder"
_BATCH_ROWS = 256

# Beside the data in many a folder; none of them holds a document.
_ABOUT = re.compile(
    r"(readme|license|licence|notice|attribution|citation|changelog|manifest|metadata|config|"
    r"dataset_infos?|dataset_dict|state)\b.*",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"(train|training|test|validation|valid|val|dev|eval)(?=[-_.]|$)", re.I)
_TRAIN = ("train", "training")

P = TypeVar("P", Path, RemotePath)
ReadRows = Callable[[Sequence[str] | None], Iterator[Row]]


@dataclass(frozen=True)
class Source:
    """A dataset that was found. ``read`` starts from the first row, with some columns or all."""

    read: ReadRows
    remote: bool = False
    """Whether rows come over the network."""
    ragged: bool = False
    """Whether a column may first appear in a later row."""


def find(given: str) -> Source:
    """The dataset that ``given`` names.

    Raises:
        DatasetSourceError: not found, or nothing that can be read.
    """
    if not given:
        raise DatasetSourceError("no dataset given; expected a file, a folder, a hub id, or demo")
    if is_remote(given):
        return _in_storage(given)
    if given == DEMO:
        from autointerp_core.sources.demo import demo_corpus_path

        path = demo_corpus_path()
        if not path.is_file():
            raise DatasetSourceError(f"the demo corpus is missing: no {path}; check it out again")
    else:
        path = Path(given).expanduser()
    # os.path, unlike pathlib, takes an absurd or forbidden path for an absent one.
    if os.path.isdir(path):
        return _folder(path, given)
    if os.path.exists(path):
        ragged = suffix_of(path) in RAGGED
        return Source(lambda columns: read_rows(path, columns), ragged=ragged)
    local = path.is_absolute() or given.startswith((".", "~")) or given.count("/") > 1
    if local or suffix_of(path) in READERS:
        raise DatasetSourceError(f"dataset {given!r} was not found: no such file or folder")
    return Source(_on_hub(given), remote=True)


def _in_storage(url: str) -> Source:
    """A file, a folder or a pattern of files in a storage; only what is used is read."""
    place = RemotePath.of(url, DatasetSourceError)
    with remote_errors(DatasetSourceError, url):
        if any(sign in place.name for sign in "*["):
            shards = sorted((p for p in place.matching() if _reads(p)), key=_number_order)
            if not shards:
                raise DatasetSourceError(f"{url} matches no file that can be read")
        elif _reads(place):
            place.look()
            shards = [place]
        else:
            shards = _shards(place, url)
    ragged = suffix_of(shards[0]) in RAGGED

    def read(columns: Sequence[str] | None) -> Iterator[Row]:
        for shard in shards:
            with remote_errors(DatasetSourceError, str(shard)):
                yield from read_rows(shard, columns)

    return Source(read, remote=True, ragged=ragged)


def _reads(path: AnyPath) -> bool:
    return suffix_of(path) in READERS


def _folder(folder: Path, given: str) -> Source:
    if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return Source(_saved(folder, given))
    shards = _shards(folder, given)
    ragged = suffix_of(shards[0]) in RAGGED

    def read(columns: Sequence[str] | None) -> Iterator[Row]:
        for shard in shards:
            yield from read_rows(shard, columns)

    return Source(read, ragged=ragged)


def _shards(folder: P, given: str) -> list[P]:
    """The data files of a folder (or of its ``data``), in the order of their numbers."""
    splits: dict[str, list[P]] = {}
    for place in (folder, folder / "data"):
        splits = splits or _splits(place)
    if not splits:
        raise DatasetSourceError(
            f"{given} is no folder written by save_to_disk, and holds no data files; it holds "
            f"{listing(folder)}; give such a folder, or one with files ({', '.join(READERS)})"
        )
    chosen = _the_split(splits, given)
    kinds = sorted({suffix_of(path) for path in chosen})
    if len(kinds) > 1:
        raise DatasetSourceError(
            f"{given} holds files of several kinds ({', '.join(kinds)}): "
            f"{shortened(sorted(path.name for path in chosen))}; give one of them, or a folder "
            "with files of one kind"
        )
    return sorted(chosen, key=_number_order)


def _splits(place: P) -> dict[str, list[P]]:
    """Data files by split: by their names, or by the names of the folders they are in."""
    children = sorted(place.iterdir()) if place.is_dir() else []
    found = [path for path in children if _is_data(path)]
    splits: dict[str, list[P]] = {}
    for path in found:
        named = _SPLIT.match(path.name)
        splits.setdefault(named[1].lower() if named else "", []).append(path)
    if "" in splits:  # files that are no part of a split: then names say nothing
        return {"": found}
    if not splits:
        for folder in children:
            if folder.is_dir() and _SPLIT.fullmatch(folder.name):
                inside = [path for path in folder.iterdir() if _is_data(path)]
                splits |= {folder.name.lower(): inside} if inside else {}
    return splits


def _is_data(path: AnyPath) -> bool:
    named = suffix_of(path) in READERS and not path.name.startswith((".", "_"))
    return named and path.is_file() and not _ABOUT.fullmatch(path.name)


def _number_order(path: AnyPath) -> list[tuple[int, str]]:
    """Shard 2 before shard 10, whether or not numbers have leading zeros."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _the_split(splits: Mapping[str, Any], given: str) -> Any:
    for name in _TRAIN:
        if name in splits:
            return splits[name]
    if len(splits) == 1:
        return next(iter(splits.values()))
    raise DatasetSourceError(
        f"{given} has several splits and none is called train: {', '.join(splits)}; "
        "give a folder with the one you mean (save_to_disk writes such folders)"
    )


def _saved(folder: Path, given: str) -> ReadRows:
    from datasets import DatasetDict, load_from_disk

    try:
        loaded = load_from_disk(str(folder))
    # datasets and pyarrow fail in many ways on a folder that is not whole.
    except Exception as error:
        raise DatasetSourceError(
            f"cannot load the dataset in {given}: {type(error).__name__}: {one_line(error)}"
        ) from error
    table = _the_split(dict(loaded), given) if isinstance(loaded, DatasetDict) else loaded
    # A format left by whoever saved it would turn cells into arrays.
    table = table.with_format(None)

    def read(columns: Sequence[str] | None) -> Iterator[Row]:
        known = [name for name in columns or () if name in table.column_names]
        chosen = table.select_columns(known) if known else table
        for batch in chosen.iter(batch_size=_BATCH_ROWS):
            names = list(batch)
            for cells in zip(*batch.values(), strict=True):
                yield dict(zip(names, cells, strict=True))

    return read


def _on_hub(repo: str) -> ReadRows:
    @cache
    def load() -> Any:
        from huggingface_hub import HfApi, constants

        offline = constants.HF_HUB_OFFLINE
        if not offline:
            # Asked first: datasets retries for half a minute before it says the hub is away.
            with hub_errors(DatasetSourceError, "dataset", repo, local_hint=_LOCAL_HINT):
                HfApi().dataset_info(repo)
        from datasets import load_dataset

        try:
            # Streaming needs the hub; without it a copy prepared earlier may be in the cache.
            return load_dataset(repo, streaming=not offline)
        except Exception as error:
            if offline:
                with hub_errors(DatasetSourceError, "dataset", repo, local_hint=_LOCAL_HINT):
                    HfApi().dataset_info(repo)
            raise _unreadable(repo, error) from error

    def read(columns: Sequence[str] | None) -> Iterator[Row]:
        table = _the_split(dict(load()), repo)
        known = [name for name in columns or () if name in (table.column_names or ())]
        if known:
            table = table.select_columns(known)
        try:
            yield from table
        # Whatever a dropped connection or a malformed file leads to in datasets.
        except Exception as error:
            raise _unreadable(repo, error) from error

    return read


def _unreadable(repo: str, error: Exception) -> DatasetSourceError:
    return DatasetSourceError(
        f"cannot load the dataset {repo!r} from the hub: {one_line(error)}; "
        "download it, and give a file or a folder written by save_to_disk"
    )
