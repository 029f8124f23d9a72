"""What is to be found, and among which documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Self

from annotated_doc import Doc

from autointerp_core.errors import ParameterError
from autointerp_core.find.contrast import ContrastConfig


@dataclass(frozen=True)
class Source:
    """A model and an SAE without a study, and texts for them to read."""

    model_path: Annotated[str | None, Doc("Hub id or local folder of the model, or demo.")] = None
    sae_path: Annotated[
        str | None, Doc("Folder, SAELens release or hub repository of the SAE, or demo.")
    ] = None
    sae_id: Annotated[str | None, Doc("Which SAE under sae_path.")] = None
    dataset_path: Annotated[
        str | None, Doc("Documents to choose from, as for label; with a study its own.")
    ] = None
    context_size: Annotated[int | None, Doc("Tokens a sequence at most.")] = None
    prepend_bos: Annotated[bool | None, Doc("Begin every sequence with BOS; None: as the SAE.")] = (
        None
    )
    dtype: Annotated[str, Doc("Of the model: auto, float32, bfloat16 or float16.")] = "auto"


@dataclass(frozen=True)
class FindRequest:
    """Which documents are positive, and what they are compared with.

    Positive are: ``positive`` texts; or documents of the study (or of ``dataset_path``) that hold
    ``pattern`` or one of ``words``, or have ``class_value`` in ``class_column``; or, with
    ``against`` alone, all of them. They are compared with the ``negative`` texts, with the
    documents of ``against``, or with the rest.

    Raises:
        ParameterError: none or several of these are given, or neither a study nor model and SAE.
    """

    study: Annotated[str | None, Doc("Id or folder of a study.")] = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    pattern: Annotated[
        str | None, Doc("Positive are documents in which this regular expression is found.")
    ] = None
    words: Annotated[
        str | None, Doc("Positive are documents that hold one of these words (between commas).")
    ] = None
    class_column: Annotated[
        str | None, Doc("Column of the study's dataset that says which class a document is of.")
    ] = None
    class_value: Annotated[str | None, Doc("The class that is positive; None: each in turn.")] = (
        None
    )
    against: Annotated[
        str | None, Doc("Compare with this study of the same SAE, or with this dataset.")
    ] = None
    column_name: Annotated[str, Doc("Column of a dataset that holds the texts.")] = "text"
    n_samples: Annotated[int, Doc("Rows of a dataset that are read, from the start.")] = 1000
    device: Annotated[str | None, Doc("cuda, cuda:1, cpu; None takes CUDA where there is one.")] = (
        None
    )
    source: Source = field(default_factory=Source)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """A request as :meth:`to_json` wrote it; what is absent has its default."""
        given = dict(content)
        for name, kind in (("source", Source), ("contrast", ContrastConfig)):
            given[name] = kind(**given.get(name, {}))
        for name in ("positive", "negative"):
            given[name] = tuple(given.get(name, ()))
        return cls(**given)

    def __post_init__(self) -> None:
        ways = {
            "positive texts": bool(self.positive),
            "a pattern": self.pattern is not None,
            "words": self.words is not None,
            "a class column": self.class_column is not None,
        }
        given = [name for name, there in ways.items() if there]
        if len(given) > 1:
            raise ParameterError(f"{' and '.join(given)} are given; give one of them")
        if not given and self.against is None:
            raise ParameterError(
                "nothing says which documents are positive; give --positive, --pattern, --words or "
                "--class-column, or --against to compare two corpora"
            )
        if self.negative and self.against is not None:
            raise ParameterError("negative texts and --against are given; give one of them")
        if self.class_value is not None and self.class_column is None:
            raise ParameterError("--class-value needs --class-column, the column it stands in")
        if self.n_samples < 1:
            raise ParameterError(f"n_samples is {self.n_samples}; give a whole number above 0")
        if self.study is not None:
            return
        if self.class_column is not None:
            raise ParameterError("--class-column needs --study, whose dataset has the column")
        for name in ("model_path", "sae_path"):
            if getattr(self.source, name) is None:
                flag = name.replace("_", "-")
                raise ParameterError(f"--{flag} is missing; give it, or --study")
        if not (self.positive and (self.negative or self.against)) and not self.source.dataset_path:
            raise ParameterError(
                "nothing to compare with; give --negative, --against, or --dataset-path"
            )
