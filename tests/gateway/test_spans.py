"""Spans: the GenAI names, the client's trace, and a real collector's socket."""

import http.server
import threading

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import StatusCode

from router_model.serving.gateway.accounts import Entry
from router_model.serving.gateway.keys import OPEN
from router_model.serving.gateway.spans import Spans
from router_model.serving.gateway.usage import Usage

ENTRY = Entry(
    request_id="r1", time=1_700_000_000.5, caller=OPEN, endpoint="chat", tier="small", provider="near",
    model="gpt-s", status=200, usage=Usage(100, 20, cached=30, reasoning=5), cost_usd=0.25, seconds=0.5,
    first_byte_seconds=0.125, stream=True,
)  # fmt: skip
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def made(entry: Entry, traceparent: str | None = None) -> ReadableSpan:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider)
    spans.add(entry, traceparent)
    (span,) = exporter.get_finished_spans()
    spans.close()
    return span


def test_a_span_tells_of_a_request_by_the_names_of_the_conventions() -> None:
    span = made(ENTRY)
    assert span.name == "chat gpt-s"
    assert (span.start_time, span.end_time) == (1_700_000_000_500_000_000, 1_700_000_001_000_000_000)
    found = dict(span.attributes or {})
    assert found["gen_ai.usage.input_tokens"] == 100
    assert found["gen_ai.usage.cache_read.input_tokens"] == 30
    assert found["gen_ai.response.time_to_first_chunk"] == 0.125
    assert found["router.tier"] == "small"
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    assert {name for name in found if name.startswith("gen_ai.")} <= known


def test_a_failure_is_an_error() -> None:
    span = made(replace(ENTRY, status=503, provider="", model="", tier=""))
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "503"
    assert span.name == "chat auto"


def test_the_clients_trace_goes_on_and_a_bad_one_begins_anew() -> None:
    span = made(ENTRY, f"00-{TRACE}-00f067aa0ba902b7-01")
    assert span.context
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    for bad in ("", "00-zz", "x" * 10_000, None):
        assert made(ENTRY, bad).parent is None


def test_without_a_provider_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr("router_model.serving.gateway.spans._attributes", lambda *told: made.append(told))
    spans = Spans()
    spans.add(ENTRY, f"00-{TRACE}-00f067aa0ba902b7-01")
    spans.close()
    assert not made


def test_spans_reach_the_collector_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    bodies: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        spans = Spans.to_collector()
        spans.add(ENTRY)
        spans.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, body),) = bodies
    assert path == "/v1/traces"
    assert b"gen_ai.operation.name" in body
    assert b"router-model" in body
