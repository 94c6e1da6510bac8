"""What the traffic log keeps of a request's text: nothing, a hash, the text without secrets, or all of it."""

from collections.abc import Callable, Mapping
from typing import Any

from router_model.errors import GatewayConfigError, PromptError
from router_model.features import FEATURES_VERSION, featurize
from router_model.prompt import Prompt, read
from router_model.serving.gateway.call import Call
from router_model.serving.gateway.config.traffic import Words

Row = Mapping[str, Any]
Redact = Callable[[Row], Row]  # a record's row without secrets
Hashed = Callable[[str, str], str]  # of a field's name and its text

# Of a body; from one that is longer the log takes what the router reads of it. Redaction is slow.
MOST_BYTES: Mapping[Words, int] = {"whole": 256 << 10, "redacted": 32 << 10}
NO_PROMPT = Prompt("", 0)
COUNTS = ("characters", "turns", "tools", "images")


class WordsKept:
    """Turns a call to the fields of a record that hold its text.

    ``redact`` is needed where ``words`` is "redacted", ``hashed`` where it is "hashed".

    Raises:
        GatewayConfigError: what is needed is not given.
    """

    def __init__(self, words: Words, redact: Redact | None = None, hashed: Hashed | None = None) -> None:
        needed = {"redacted": redact, "hashed": hashed}
        if words in needed and needed[words] is None:
            raise GatewayConfigError(
                f"traffic.words: {words!r} needs a function that was not handed in; give 'off' or 'whole'"
            )
        self.words, self._redact, self._hashed = words, redact, hashed

    def of(self, call: Call) -> dict[str, Any]:
        """``prompt`` or ``messages``; or ``prompt_hash`` and features; or nothing.

        Of a prompt that was cut ``cut_from`` says what the router counts of the whole.
        """
        if self.words == "off":
            return {}
        if self.words == "hashed":
            prompt = _read(call.body)
            return {
                "prompt_hash": self._hashed("prompt", prompt.text) if self._hashed else None,
                "features_version": FEATURES_VERSION,
                "features": list(map(float, featurize(prompt))),
                "characters": prompt.characters,
            }
        if len(call.raw) <= MOST_BYTES[self.words]:
            return self._without_secrets(_request(call.body))
        prompt = _read(call.body)
        cut_from = {name: getattr(prompt, name) for name in COUNTS}
        return self._without_secrets({"prompt": prompt.text}) | {"cut_from": cut_from}

    def _without_secrets(self, row: Row) -> dict[str, Any]:
        return dict(self._redact(row)) if self._redact and self.words == "redacted" else dict(row)

    def session(self, name: str | None) -> str | None:
        """A conversation's name, as far as it is kept."""
        if name is None or self.words == "off":
            return None
        if self.words == "hashed" and self._hashed:
            return self._hashed("session", name)
        if self.words == "redacted" and self._redact:
            return str(self._redact({"prompt": name})["prompt"])
        return name


def _read(body: Mapping[str, Any]) -> Prompt:
    request = _request(body)
    try:
        return read(request["messages"] if "messages" in request else request["prompt"])
    except PromptError:
        return NO_PROMPT


def _request(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body of any endpoint as a record's prompt or messages; "" where it holds no text."""
    system = body.get("system", body.get("instructions"))
    said = body.get("messages", body.get("input", body.get("prompt")))
    if isinstance(said, str):
        if not system:
            return {"prompt": said}
        said = [{"role": "user", "content": said}]
    if isinstance(said, list) and said and all(isinstance(part, str) for part in said):
        return {"prompt": "\n".join(said)}
    if not isinstance(said, list) or not said or not all(isinstance(part, dict) for part in said):
        return {"prompt": ""}
    messages = [{"role": "system", "content": system}, *said] if system else said
    try:
        read(messages)
    except PromptError:
        return {"prompt": ""}
    return {"messages": messages}
