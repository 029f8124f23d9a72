"""What can go wrong between here and the Hugging Face hub, said in one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autointerp_core.errors import BadInput

LOGIN = "log in with `hf auth login` or set HF_TOKEN"


def one_line(error: BaseException, limit: int = 200) -> str:
    """The first line of what an exception says, shortened; its type where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"


@contextmanager
def hub_errors(
    kind: type[BadInput], what: str, given: str, *, local_hint: str = "a local folder"
) -> Iterator[None]:
    """Turn whatever huggingface_hub raises inside into one exception of ours.

    Args:
        kind: the exception to raise.
        what: what was looked for, e.g. ``"model"``; opens the message.
        given: what the caller gave.
        local_hint: what to give instead where the hub is out of reach.

    Raises:
        BadInput: of the kind asked for: gated, not found, out of reach, or no hub id at all.
    """
    import httpx2
    from huggingface_hub import constants, errors

    def fail(text: str) -> BadInput:
        return kind(f"{what} {given!r} {text}")

    try:
        yield
    except errors.GatedRepoError as error:
        page = f"{constants.ENDPOINT}/{given}"
        raise fail(f"is gated: ask for access on its page {page}, then {LOGIN}") from error
    except errors.RepositoryNotFoundError as error:
        raise fail(
            "was found neither on disk nor on the hub: check the spelling; "
            f"if it is private, {LOGIN}"
        ) from error
    except errors.HFValidationError as error:
        raise fail(
            "does not exist on disk and is no hub id (owner/name): check the path"
        ) from error
    except (errors.RemoteEntryNotFoundError, errors.RevisionNotFoundError) as error:
        raise fail(f"lacks a file that is needed: {one_line(error)}") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise fail(f"may not be read with this login (HTTP {status}): {LOGIN}") from error
        raise fail(f"could not be read from the hub (HTTP {status})") from error
    except (
        errors.LocalEntryNotFoundError,
        errors.RevisionResolutionError,
        httpx2.TransportError,
        ConnectionError,  # OfflineModeIsEnabled among them
    ) as error:
        raise fail(_unreachable(local_hint)) from error


def _unreachable(local_hint: str) -> str:
    from huggingface_hub import constants

    reason = (
        "HF_HUB_OFFLINE is set"
        if constants.HF_HUB_OFFLINE
        else f"no answer from {constants.ENDPOINT}"
    )
    return (
        f"is not on disk and the hub is out of reach ({reason}): "
        f"check the spelling, connect, or give {local_hint}"
    )
