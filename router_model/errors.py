"""Every error the project raises on purpose, on one page.

Each message names what was wrong, where, and the cure. ``exit_code`` is what the command line returns:
1 the work failed, 2 the request for it was wrong.
"""


class RouterModelError(Exception):
    """Root of the tree: catch this to catch all of them."""

    exit_code = 1


class ConfigError(RouterModelError):
    """A setting is out of its range; the message names the setting."""

    exit_code = 2


class DialError(ConfigError):
    """A dial is outside (0, 1], or more than one dial was given."""


class LadderError(ConfigError):
    """A ladder file cannot be read, or its tiers make no ladder."""


class RulesError(ConfigError):
    """A file of feedback rules cannot be read, or holds what is no rule."""


class MissingExtraError(RouterModelError):
    """A part was used whose packages are not installed; the message holds the install command."""

    exit_code = 2


class PromptError(RouterModelError, ValueError):
    """A request is neither text nor chat messages of a known shape."""


class RecordError(RouterModelError, ValueError):
    """A row of a log is not a record; the message names file, line and field."""


class DataError(RouterModelError):
    """Every row is well formed, but together they cannot do what was asked."""


class TrainingError(RouterModelError):
    """Training failed: no finite loss, or an interrupted run that does not fit this one."""


class ProcessError(RouterModelError):
    """One of the processes that train together failed or was ended from outside."""


class ExportError(RouterModelError):
    """The exported graph does not do what the network does."""


class JudgeError(RouterModelError):
    """The judge's endpoint refuses every call or answers none."""


class GatewayConfigError(ConfigError):
    """The file of a gateway cannot be read, or what it says cannot be done."""


class RequestError(RouterModelError):
    """A client's request is refused: ``status`` is HTTP's, ``kind`` a type that clients know."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.retry_after = retry_after
        self.allow = allow


class UpstreamError(RouterModelError):
    """A provider answered nothing, or broke off."""


class FileError(RouterModelError):
    """A file cannot be read or written, or is larger than its kind may be."""


class OutputError(FileError):
    """A place cannot be written, so that nothing that is still to be done can be."""


class ArtifactError(RouterModelError):
    """A file is not a usable artifact."""


class ArtifactCorruptError(ArtifactError):
    """An artifact was cut short or altered after it was written."""


class ArtifactVersionError(ArtifactError):
    """An artifact was written for another version of the format, the text or the features."""


class TokenizerError(RouterModelError):
    """No installed tokenizer reads this tokenizer file."""


def one_line(error: BaseException) -> str:
    """A library's message on one line of at most 200 characters, to quote within ours."""
    return " ".join(str(error).split())[:200]
