"""An SAE's weight files: read without running code from them, and checked."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autointerp_core.errors import SAESourceError
from autointerp_core.sources.hub import one_line
from autointerp_core.sources.paths import listing

if TYPE_CHECKING:
    import torch

PICKLES = (".pt", ".bin", ".pth")
_MAX_HEADER = 100_000_000
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


@dataclass(frozen=True)
class TensorInfo:
    """What a file's header says about a tensor."""

    dtype: str
    shape: tuple[int, ...]


def only_or_named(folder: Path, filename: str) -> Path:
    """The weights of a folder: the file of that name, else the only safetensors, else a pickle.

    Raises:
        SAESourceError: there are none.
    """
    path = folder / filename
    if path.is_file():
        return path
    others = sorted(folder.glob("*.safetensors"))
    if len(others) == 1:
        return others[0]
    pickles = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    if not pickles:
        raise SAESourceError(f"no weights ({filename}) in {folder}; it holds {listing(folder)}")
    return pickles[0]


def tensor_infos(path: Path) -> dict[str, TensorInfo]:
    """Names, precisions and shapes of a file's tensors, read from its header alone.

    Imports torch for a pickle only.

    Raises:
        SAESourceError: missing, damaged, or a pickle that would have to run code.
    """
    try:
        if path.suffix == ".safetensors":
            return _safetensors_infos(path)
        if path.suffix == ".npz":
            return _npz_infos(path)
    except (OSError, ValueError, KeyError, EOFError, struct.error, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    return {
        name: TensorInfo(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in _read_pickle(path, mapped=zipfile.is_zipfile(path)).items()
    }


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a ``.safetensors``, ``.npz`` or torch file, in float32 on the CPU.

    A torch file is read by torch's restricted unpickler, which runs no code from the file.

    Raises:
        SAESourceError: missing, damaged, not finite, or a pickle that would have to run code.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        elif path.suffix == ".npz":
            tensors = _read_npz(path)
        else:
            tensors = _read_pickle(path)
    except (SafetensorError, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, SAESourceError):
            raise
        raise _damaged(path, error) from error
    for name, tensor in tensors.items():
        tensors[name] = tensor.to(torch.float32).contiguous()
        if not bool(torch.isfinite(tensors[name]).all()):
            raise SAESourceError(f"the weights in {path.parent} hold NaN or infinity in {name!r}")
    return tensors


def check_shapes(
    tensors: dict[str, torch.Tensor],
    expected: dict[str, tuple[int, ...]],
    source: str,
    file: str = "cfg.json",
) -> None:
    """Whether these are the tensors that the config means, no fewer and no more.

    Raises:
        SAESourceError: a tensor is missing, has another shape, or is not known.
    """
    for name, shape in expected.items():
        if name not in tensors:
            raise SAESourceError(
                f"the weights of {source} lack {name!r}; they hold {', '.join(sorted(tensors))}"
            )
        found = tuple(tensors[name].shape)
        if found != shape:
            raise SAESourceError(
                f"weights and config of {source} disagree: {name} is {list(found)}, "
                f"{file} means {list(shape)}"
            )
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise SAESourceError(
            f"the weights of {source} hold tensors its {file} does not explain: "
            f"{', '.join(unknown)}"
        )


def _damaged(path: Path, error: Exception) -> SAESourceError:
    if isinstance(error, FileNotFoundError):
        return SAESourceError(f"no weights {path.name} in {path.parent}")
    return SAESourceError(
        f"{path} is damaged or incomplete ({one_line(error)}); copy or download it again"
    )


def _safetensors_infos(path: Path) -> dict[str, TensorInfo]:
    with path.open("rb") as handle:
        length = struct.unpack("<Q", handle.read(8))[0]
        if length > _MAX_HEADER:
            raise ValueError("no safetensors header")
        header = json.loads(handle.read(length))
    return {
        name: TensorInfo(_DTYPES.get(entry["dtype"], entry["dtype"]), tuple(entry["shape"]))
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _npz_infos(path: Path) -> dict[str, TensorInfo]:
    from numpy.lib import format as npy

    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                version = npy.read_magic(member)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read(member)
            found[name.removesuffix(".npy")] = TensorInfo(dtype.name, tuple(shape))
    return found


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    import numpy as np
    import torch

    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in arrays}


def _read_pickle(path: Path, *, mapped: bool = False) -> dict[str, torch.Tensor]:
    """``mapped``: without reading the numbers (torch's older format cannot be)."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError as error:
        raise _damaged(path, error) from error
    # Besides UnpicklingError, a damaged file ends in RuntimeError, EOFError or worse.
    except Exception as error:
        raise SAESourceError(
            f"{path} is refused: loading it would run code from the file (pickle), or it is "
            "damaged; save the weights as safetensors"
        ) from error
    # Some trainers wrap the state, some put numbers beside the tensors.
    if isinstance(content, dict) and isinstance(content.get("sae"), dict):
        content = content["sae"]
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) or _is_number(value) for value in content.values()
    ):
        raise SAESourceError(
            f"{path} holds no plain dictionary of tensors; save the weights as safetensors"
        )
    return {str(name): torch.as_tensor(value).detach() for name, value in content.items()}


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(float(value))
    )
