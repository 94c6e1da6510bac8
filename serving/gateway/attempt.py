"""One call to one upstream on a request's errand, and what it cost where nobody got its answer."""

from dataclasses import dataclass

from router_model.serving.gateway.call import Call
from router_model.serving.gateway.passage import Passage
from router_model.serving.gateway.provider import Upstream
from router_model.serving.gateway.usage import StreamUsage, Usage
from router_model.serving.gateway.waste import Waste


@dataclass(slots=True)
class Attempt:
    """One call.

    Attributes:
        upstream: who is asked.
        call: what.
        admitted: what ``Upstream.admit`` gave for it.
        body: of the answer, once its head has come.
    """

    upstream: Upstream
    call: Call
    admitted: int = 0
    body: Passage | None = None
    _told: bool = False

    def waste(self, *, left: bool) -> Waste | None:
        """What the call cost, said once; None where it cost nothing, as far as can be known.

        Args:
            left: whether it was the gateway that broke off, so that the provider may have been at work. One
                that fails before it answers, or answers with an error, charges nothing.
        """
        if self._told:
            return None
        self._told = True
        usage = self._usage(left=left)
        if usage is None:
            return None
        upstream = self.upstream
        usd = upstream.prices.cost_usd(usage)
        return Waste(upstream.tier, upstream.provider.name, usd, usage.estimated)

    def _usage(self, *, left: bool) -> Usage | None:
        if self.body is None:
            if not left:
                return None
            likely = self.upstream.expected(self.call)
            # The head of a stream comes before what it is billed for; of a whole answer, after all of it.
            return Usage(likely.input, 0 if self.call.stream else likely.output, estimated=True)
        reply = self.body.reply
        if reply.status != 200:
            return None
        encoding = next(
            (value.decode("latin-1") for key, value in reply.headers if key == b"content-encoding"), ""
        )
        counted = StreamUsage(self.call.endpoint, encoding)
        for piece in self.body.held:
            counted.feed(piece)
        return counted.usage(self.call)
