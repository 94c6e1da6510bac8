"""Text that must not be shown."""


class Secret(str):
    """Text that no repr shows, of itself or of what holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"
