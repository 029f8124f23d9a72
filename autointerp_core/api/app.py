"""The API's addresses: what each answers is a record of :mod:`autointerp_core.service.answers`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.types import StringConstraints

from autointerp_core.api.guard import LOOPBACK, Guard
from autointerp_core.errors import AutointerpError, LabelRejected, StudyError
from autointerp_core.service import answers
from autointerp_core.service.desk import Desk

_ABOUT = (
    "Studies of sparse autoencoders: features, what they fire on, labels and scores. Reading is "
    "free; `POST` needs the token that `autointerp serve` printed. What is posted is a proposal or "
    "a score, never a decision."
)
_MOST_INDEX = 2**31 - 1
StudyId = Annotated[str, Path(description="Id of a study.", max_length=200)]
FeatureIndex = Annotated[int, Path(description="Index of the feature.", ge=0, le=_MOST_INDEX)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewProposal(_Body):
    """A label to propose."""

    label: Label = Field(description="At most 9 words.")
    author: Annotated[str, StringConstraints(min_length=1, max_length=60)] = Field(
        description="Who proposes; shown to people beside the label."
    )
    reason: str = Field("", max_length=1000, description="Why, in a sentence.")


class LabelToScore(_Body):
    """A label to score."""

    label: Label


class TextToEncode(_Body):
    """A text to encode."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    top: int = Field(10, ge=1, le=200, description="Features a token, strongest first.")


class Problem(BaseModel):
    """What went wrong, in one line."""

    error: str


@dataclass(frozen=True)
class Served:
    """An app, and the token that its writes need."""

    app: Guard
    api: FastAPI
    token: str


def make_api(
    desk: Desk, token: str, hosts: tuple[str, ...] = LOOPBACK, *, every_request: bool = False
) -> Served:
    """The API, not yet listening.

    Args:
        desk: answers the questions.
        token: what writes must bring.
        hosts: names under which it may be asked.
        every_request: whether reading needs the token, too.
    """
    said: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": about}
        for status, about in {
            400: "Something in the request cannot be used.",
            404: "No such study or feature.",
            403: "From another origin.",
            421: "Under another name.",
        }.items()
    }
    writes: dict[int | str, dict[str, Any]] = {
        **said,
        401: {"model": Problem, "description": "No token, or another."},
        413: {"model": Problem, "description": "The body is too long."},
        503: {"model": Problem, "description": "It cannot be done just now."},
    }
    api = FastAPI(
        title="Autointerp Explorer",
        description=_ABOUT,
        version="1",
        responses={**said, 503: writes[503]},
    )
    api.add_exception_handler(AutointerpError, _ours)
    api.add_exception_handler(RequestValidationError, _invalid)

    @api.get("/api/studies", tags=["read"])
    def studies() -> list[answers.StudySummary]:
        """Every study of this installation."""
        return desk.studies()

    @api.get("/api/studies/{study}/features", tags=["read"])
    def search(
        study: StudyId,
        q: Annotated[str, Query(min_length=1, max_length=200, description="A word, or a few.")],
        by: Annotated[str, Query(pattern="^(meaning|words|labels|examples)$")] = "meaning",
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
        offset: Annotated[int, Query(ge=0, le=_MOST_INDEX)] = 0,
    ) -> answers.Found:
        """Features about something, by meaning or by word, best first."""
        return desk.search(study, q, by, limit, offset)

    @api.get("/api/studies/{study}/features/{feature}", tags=["read"])
    def feature(
        study: StudyId,
        feature: FeatureIndex,
        examples: Annotated[int, Query(ge=0, le=50)] = 10,
    ) -> answers.FeatureCard:
        """A feature with its strongest examples, its labels, and their scores."""
        return desk.feature(study, feature, examples)

    @api.post("/api/studies/{study}/encode", tags=["compute"], responses=writes)
    def encode(study: StudyId, body: TextToEncode) -> answers.Encoded:
        """What fires on each token of a text. The first call loads the model."""
        return desk.encode(study, body.text, body.top)

    @api.post(
        "/api/studies/{study}/features/{feature}/proposals", tags=["propose"], responses=writes
    )
    def propose(study: StudyId, feature: FeatureIndex, body: NewProposal) -> answers.Proposed:
        """Propose a label. It waits for a person: nothing is accepted or overridden."""
        return desk.propose(study, feature, body.label, body.author, body.reason)

    @api.post("/api/studies/{study}/features/{feature}/scores", tags=["compute"], responses=writes)
    def score(study: StudyId, feature: FeatureIndex, body: LabelToScore) -> answers.LabelScore:
        """Score a label on the documents kept for choosing; 0.5 is a guess."""
        return desk.score(study, feature, body.label)

    @api.get("/", include_in_schema=False)
    def contents() -> HTMLResponse:
        """Every address on a page that loads nothing, for where /docs cannot load its viewer."""
        return HTMLResponse(_contents(api.openapi()))

    guarded = Guard(api, token, hosts, every_request=every_request)
    return Served(guarded, api, token)


def _contents(schema: dict[str, Any]) -> str:
    """The addresses of an API as HTML."""
    rows = [
        f"<tr><td>{verb.upper()}</td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(found['description'])}</td></tr>"
        for path, verbs in schema["paths"].items()
        for verb, found in verbs.items()
    ]
    return (
        f'<!DOCTYPE html><meta charset="utf-8"><title>{escape(schema["info"]["title"])}</title>'
        f"<h1>{escape(schema['info']['title'])}</h1><p>{escape(_ABOUT)}</p>"
        f"<table>{''.join(rows)}</table>"
        '<p><a href="/docs">Try it</a> · <a href="/openapi.json">OpenAPI</a></p>'
    )


async def _ours(_: Request, error: Exception) -> JSONResponse:
    """Our errors in one line, with the status they mean."""
    line = " ".join(str(error).split())
    status = 503
    if isinstance(error, StudyError) and "there is no study" in line:
        status = 404
    elif isinstance(error, LabelRejected):
        status = 400
    elif isinstance(error, AutointerpError) and error.exit_code == 2:
        status = 404 if "is not in study" in line else 400
    return JSONResponse({"error": line}, status)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, in one line."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    first = found[0] if found else {}
    where = ".".join(str(part) for part in first.get("loc", ())[1:])
    what = f"{where}: {first.get('msg', 'cannot be used')}" if where else first.get("msg", "")
    return JSONResponse({"error": str(what) or "the request cannot be used"}, 400)
