"""Text of a file that people write, YAML or JSON, to plain values."""

import json
from typing import Any

from router_model.errors import MissingExtraError, one_line

MAX_DEPTH = 16


def parse_settings(text: str, suffix: str, kind: str) -> Any:
    """The value that ``text`` holds: JSON where ``suffix`` is ".json", else YAML; messages call it ``kind``.

    Raises:
        ValueError: the text is malformed, nests deeply or holds an alias.
        RecursionError: JSON that nests deeply.
        MissingExtraError: it is YAML and PyYAML is not installed.
    """
    if suffix == ".json":
        return json.loads(text)
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
        return yaml.safe_load(text)
    except (yaml.YAMLError, LookupError, AttributeError, TypeError) as error:  # as of `!!bool maybe`
        raise ValueError(one_line(error)) from None
