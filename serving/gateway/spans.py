"""OpenTelemetry spans of requests, with the names of the GenAI semantic conventions.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. A span is made when its request is over,
out of its entry, and holds no text of it.
"""

import os
from typing import TYPE_CHECKING, Any

from router_model.errors import MissingExtraError
from router_model.serving.gateway.accounts import Entry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings"}  # the others are "chat"


class Spans:
    """Where spans go; nowhere, at no cost, without a provider."""

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        if provider:
            self._tracer = provider.get_tracer("router_model.serving.gateway")

    @classmethod
    def to_collector(cls) -> "Spans":
        """Spans to the collector that the environment names (``OTEL_EXPORTER_OTLP_ENDPOINT`` and the like).

        Raises:
            MissingExtraError: the packages are not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError:
            raise MissingExtraError(
                "spans need opentelemetry-sdk and its OTLP exporter: pip install 'router-model[spans]'"
            ) from None
        named = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME", "router-model")})
        provider = TracerProvider(resource=named, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def add(self, entry: Entry, traceparent: str | None = None) -> None:
        """Make the span of a request, as a child of the client's where it sent ``traceparent``."""
        if self._provider is None:
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        operation = OPERATIONS.get(entry.endpoint, "chat")
        start = int(entry.time * 1e9)
        span = self._tracer.start_span(
            f"{operation} {entry.model or entry.asked}",
            context=_parent(traceparent),
            kind=SpanKind.CLIENT,
            attributes=_attributes(entry, operation),
            start_time=start,
        )
        if entry.failed:
            span.set_attribute("error.type", str(entry.status))
            span.set_status(Status(StatusCode.ERROR))
        span.end(start + int(entry.seconds * 1e9))

    def close(self) -> None:
        """Send what waits."""
        if self._provider:
            self._provider.shutdown()


def _attributes(entry: Entry, operation: str) -> dict[str, Any]:
    usage = entry.usage
    known = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": entry.provider or None,
        "gen_ai.request.model": entry.model or None,
        "gen_ai.request.stream": entry.stream,
        "gen_ai.conversation.id": entry.session,
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cached,
        "gen_ai.usage.cache_creation.input_tokens": usage.written,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        "gen_ai.response.time_to_first_chunk": entry.first_byte_seconds if entry.stream else None,
        "router.request_id": entry.request_id,
        "router.asked": entry.asked,
        "router.tier": entry.tier or None,
        "router.tenant": entry.caller.tenant,
        "router.cached": entry.cached,
        "router.explored": entry.explored,
        "router.escalated": entry.escalated,
        "router.cost_usd": entry.cost_usd,
    }
    return {name: value for name, value in known.items() if value is not None}


def _parent(traceparent: str | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent or ""}, Context())
