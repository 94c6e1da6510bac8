"""A stream of server-sent events, passed on in whole events, so that one that breaks can end with another."""

ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
MOST_HELD = 1 << 20  # of one event; a longer one goes on in pieces


class Events:
    """Bytes in, the same bytes out, none after the last whole event until the next is whole."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may go on of all that came."""
        if self._held:
            chunk = self._held + chunk
        if chunk.endswith(ENDS) or len(chunk) > MOST_HELD:
            self._held = b""
            return chunk
        place = max((found + len(end) for end in ENDS if (found := chunk.rfind(end)) >= 0), default=0)
        self._held = chunk[place:]
        return chunk[:place]

    def rest(self) -> bytes:
        """What is left where the stream ended as it should."""
        held, self._held = self._held, b""
        return held
