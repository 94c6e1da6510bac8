"""A stream of server-sent events, cut where events end."""

END = b"\n\n"
ENDS = (END, b"\r\n\r\n", b"\r\r", b"\n\r\n")  # the last of a provider that mixes them
MAX_HELD = 1 << 20


class Events:
    """Hands bytes on up to the end of the last whole event, all of them and in order.

    A stream that breaks within an event can then be ended by an event of the gateway's own, which would
    otherwise become a part of the broken one. Of an event of over 1 MiB the bytes go on as they come.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._bytes = 0
        self._last = b""  # of those held: an end may begin in one chunk and end in the next
        self.torn = False
        """Whether a part of an event has gone out without its end."""

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that can go out, now that ``chunk`` has come."""
        if not self._held and chunk.endswith(END):  # as nearly all do
            self.torn = False
            return chunk
        seam = self._last + chunk
        ends = [at + len(mark) for mark in ENDS if (at := seam.rfind(mark)) >= 0]
        if ends:
            self.torn, cut = False, max(ends) - len(self._last)
        else:
            self.torn = self.torn or self._bytes + len(chunk) > MAX_HELD
            cut = len(chunk) if self.torn else 0
        if not cut:
            self._hold(chunk, seam)
            return b""
        out = b"".join((*self._held, chunk[:cut]))
        self._held, self._bytes = [], 0
        self._hold(chunk[cut:], seam if self.torn else chunk[cut:])
        return out

    def rest(self) -> bytes:
        """What is held, where the stream has ended as it should: some leave out the last blank line."""
        rest, self._held = b"".join(self._held), []
        return rest

    def _hold(self, rest: bytes, seam: bytes) -> None:
        if rest:
            self._held.append(rest)
            self._bytes += len(rest)
        self._last = seam[-3:]
