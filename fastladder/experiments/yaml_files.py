"""YAML files that people write."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fastladder.experiments.errors import RunError


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a YAML file.

    Raises:
        RunError: there is no such file, it is not sound, has something else than sections, or a key twice. The message
            names file and line.
    """
    try:
        text = path.read_text()
        root = yaml.compose(text, yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            got = "nothing" if root is None else f"a {root.id}"
            raise RunError(f"{path}:1: got {got}, needs lines of the form key: value")
        for key, first in repeated_keys(root):
            line = key.start_mark.line + 1
            raise RunError(f"{path}:{line}: {key.value!r} is there twice, first in line {first.start_mark.line + 1}")
        content: dict[str, Any] = yaml.safe_load(text)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise RunError(f"{path}{line}: not sound YAML ({error.problem})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not sound YAML ({' '.join(str(error).split())})") from None
    return content


def repeated_keys(root: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.ScalarNode]]:
    """Keys that are twice in a section, on any level, each with the first of its name."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))  # an alias stands for one node in several places, or in itself
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        firsts: dict[str, yaml.ScalarNode] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in firsts:
                    yield key, firsts[key.value]
                firsts.setdefault(key.value, key)
            waiting.append(value)
