"""Text of a file that people write, YAML or JSON, to plain values."""

import json
from typing import Any

from router_model.errors import MissingExtraError, one_line

MAX_DEPTH = 16


def parse_settings(text: str, suffix: str, kind: str) -> Any:
    """The value that ``text`` holds: JSON where ``suffix`` is ".json", else YAML; messages call it ``kind``.

    Raises:
        ValueError: the text is malformed, nests deeply, holds an alias, or has a key twice in one object.
        RecursionError: JSON that nests deeply.
        MissingExtraError: it is YAML and PyYAML is not installed.
    """
    if suffix == ".json":
        return json.loads(text, object_pairs_hook=_once)
    try:
        import yaml
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"YAML {kind} needs PyYAML: pip install 'router-model[train]', or write .json"
        ) from None
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH or isinstance(event, yaml.AliasEvent):  # these can cost hours and gigabytes
                raise ValueError(f"it nests deeply or holds an alias (*name), which no {kind} needs")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _refuse_repeats(node)
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:  # its text quotes the file, which may hold what no log should
        place = error.problem_mark or error.context_mark
        where = f", line {place.line + 1}, column {place.column + 1}" if place else ""
        raise ValueError(f"{error.problem or 'malformed'}{where}") from None
    except (yaml.YAMLError, LookupError, AttributeError, TypeError) as error:  # as of `!!bool maybe`
        raise ValueError(one_line(error)) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r:.80} stands twice in one object; the first would be lost")
    return value


def _refuse_repeats(node: Any) -> None:
    """Raise ValueError where a mapping of a YAML document, of bounded depth, has a key twice."""
    pairs = node.value if node is not None and node.id == "mapping" else []
    seen = set()
    for key, _ in pairs:
        if key.id == "scalar" and (key.tag, key.value) in seen:
            line = key.start_mark.line + 1
            raise ValueError(f"the key {key.value!r:.80} stands twice, line {line}; the first would be lost")
        seen.add((key.tag, key.value) if key.id == "scalar" else None)
    for child in (part for pair in pairs for part in pair):
        _refuse_repeats(child)
    for child in node.value if node is not None and node.id == "sequence" else ():
        _refuse_repeats(child)
