"""Every exception this package raises on purpose, in one tree.

A message says what was given, what was expected and what to do, in one line:
the command line prints it as the last line on stderr, the app shows it without
a stack trace. ``exit_code`` is the status the command line ends with.
"""

from __future__ import annotations

from collections.abc import Mapping


class AutointerpError(Exception):
    """Base of the tree: something failed that was not the caller's input."""

    exit_code = 1


class BadInput(AutointerpError, ValueError):
    """What was given cannot be used; nothing was written."""

    exit_code = 2


class FeatureRequestError(BadInput):
    """Feature indices, or the JSON file holding them, are malformed or out of range."""


class HookError(BadInput):
    """A hook point that is no hook point, or one this model does not have."""


class ModelSourceError(BadInput):
    """The language model cannot be found, reached, or loaded."""


class SAESourceError(BadInput):
    """The SAE cannot be found, is incomplete, or contradicts itself or the model."""


class DatasetSourceError(BadInput):
    """The dataset cannot be found, lacks the column asked for, or holds no text."""


class OutputError(BadInput):
    """The output folder cannot be written."""


class LabelRejected(BadInput):
    """A label a person typed is empty or too long."""


class ParameterError(BadInput):
    """A parameter has a value outside what it allows."""


class KnobError(ParameterError):
    """A setting of a configuration means nothing, or contradicts another.

    The message names settings as the configuration does; whoever offers them under other names
    (a command's flags, a function's arguments) says so with :meth:`called`.

    Args:
        template: the message, with ``{0}``, ``{1}`` … for the names of settings.
        knobs: their names in the configuration.
    """

    def __init__(self, template: str, *knobs: str) -> None:
        self._template, self._knobs = template, knobs
        super().__init__(self._told({}))

    def called(self, names: Mapping[str, str]) -> ParameterError:
        """The same error with settings named as ``names`` says (by configuration name)."""
        return ParameterError(self._told(names))

    def _told(self, names: Mapping[str, str]) -> str:
        message = self._template
        for place, knob in enumerate(self._knobs):
            message = message.replace(f"{{{place}}}", names.get(knob, knob))
        return message


class DiskFull(AutointerpError):
    """The disk filled up; finished shards stay and a rerun resumes from them."""


class MissingDependency(AutointerpError):
    """A package is absent; the message holds the exact pip command."""


class StudyError(AutointerpError):
    """A study folder is damaged, unfinished, or from a newer version."""


class LabelStoreError(AutointerpError):
    """The label database is locked, read-only, or not ours."""


class LabelConflict(AutointerpError):
    """Somebody else changed this feature's label since it was read; both events are kept."""


class ProviderError(AutointerpError):
    """A label provider failed for good (not for one answer only)."""


class PromptTooLong(ProviderError):
    """A prompt and what may follow it do not fit the model's context; a shorter one may."""


class ProviderSetupError(ProviderError, BadInput):
    """Nothing can be asked as things stand: no key, a wrong one, no such model, no server."""

    exit_code = 2


class JobError(AutointerpError):
    """A background job could not be started or ended badly."""


class LiveError(AutointerpError):
    """The process that holds the live model could not be started, or ended twice."""


class OutOfMemory(AutointerpError):
    """Not even the smallest piece of work fits into memory."""


class Cancelled(AutointerpError):
    """The person stopped it; what was finished stays on disk."""

    exit_code = 130
