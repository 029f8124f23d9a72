"""What a person may say about an export or an import."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from annotated_doc import Doc

from autointerp_core.errors import KnobError

NEURONPEDIA = "https://www.neuronpedia.org"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """How a study is written in a format; each format reads the settings that concern it."""

    examples: Annotated[int, Doc("Top examples a feature.")] = 20
    model_id: Annotated[
        str | None,
        Doc("Neuronpedia's id of the model; by default the model's name, without its owner."),
    ] = None
    source_set: Annotated[
        str | None,
        Doc("Neuronpedia's name for this kind of SAE; with the layer it names the source."),
    ] = None
    release: Annotated[
        str | None, Doc("Neuronpedia's name of the release; by default the source set's.")
    ] = None
    creator: Annotated[str, Doc("Whom Neuronpedia's files name as their creator.")] = ""
    send: Annotated[
        bool,
        Doc("neuronpedia-upload: send the bodies; without it they are only written and checked."),
    ] = False
    base_url: Annotated[str, Doc("neuronpedia-upload: the server to send to.")] = NEURONPEDIA
    key_variable: Annotated[
        str, Doc("neuronpedia-upload: the environment variable that holds the API key.")
    ] = "NEURONPEDIA_API_KEY"
    graph: Annotated[
        str | None,
        Doc("circuit-tracer: a graph file to copy with our labels in its nodes."),
    ] = None
    push_to: Annotated[
        str | None,
        Doc("dataset: a Hugging Face repository (owner/name) to push the folder to, once written."),
    ] = None

    def __post_init__(self) -> None:
        if self.examples < 1:
            raise KnobError(f"{{0}} is {self.examples}; give at least 1", "examples")
        for name in ("model_id", "source_set", "release"):
            given = getattr(self, name)
            if given is not None and (not given or given.startswith(".") or "/" in given):
                raise KnobError(
                    f"{{0}} is {given!r}; it becomes the name of a folder: letters, digits, "
                    "dots and dashes",
                    name,
                )
        if not self.base_url.startswith(("http://", "https://")):
            raise KnobError(f"{{0}} is {self.base_url!r}; it begins with https://", "base_url")

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Self:
        """From a job's parameters; what is not a setting is left alone."""
        return cls(**{name: params[name] for name in cls.__dataclass_fields__ if name in params})

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the key by which an export knows itself again."""
        return asdict(self)
