"""YAML files that people write."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fastladder.experiments.errors import RunError

NAMES = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")  # what a key may be: no number and no "yes"


@dataclass(frozen=True)
class YamlFile:
    """What is in a file.

    Attributes:
        path: of the file.
        content: its sections.
        lines: the line of every key, from 1, by its name with those of its sections, such as "model.widths.low".
    """

    path: Path
    content: dict[str, Any]
    lines: dict[str, int]

    def place(self, name: str) -> str:
        """File and line of a key, or of the section that it came to be in, as from an alias."""
        while name and name not in self.lines:
            name = name.rpartition(".")[0]
        return f"{self.path}:{self.lines[name]}" if name else str(self.path)


def read_yaml(path: Path) -> YamlFile:
    """Reads a file of sections.

    Raises:
        RunError: there is no such file, it is not sound, has something else than sections, a key twice, or one that is
            no name. The message names file and line.
    """
    try:
        text = path.read_text()
        root = yaml.compose(text, yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            got = "nothing" if root is None else f"a {root.id}"
            raise RunError(f"{path}:1: got {got}, needs lines of the form key: value")
        return YamlFile(path, yaml.safe_load(text), _lines(path, root))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise RunError(f"{path}{line}: not sound YAML ({error.problem})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: not sound YAML ({' '.join(str(error).split())})") from None


def _lines(path: Path, root: yaml.Node) -> dict[str, int]:
    lines: dict[str, int] = {}
    waiting, seen = [("", root)], set()
    while waiting:
        prefix, node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))  # an alias stands for one node in several places, or in itself
        if isinstance(node, yaml.SequenceNode):
            waiting += [(f"{prefix}{index}.", value) for index, value in enumerate(node.value)]
            continue
        for key, value in node.value:
            line, name = key.start_mark.line + 1, f"{prefix}{key.value}"
            if key.tag not in NAMES:
                raise RunError(f"{path}:{line}: got the key {key.value}, needs a name")
            if name in lines:
                first, second = sorted((lines[name], line))
                raise RunError(f"{path}:{second}: {name!r} is there twice, first in line {first}")
            lines[name] = line
            waiting.append((f"{name}.", value))
    return lines


def dump_yaml(configuration: dict[str, Any]) -> str:
    """A configuration as YAML, in its own order, and in full also where one value stands in it twice."""
    return yaml.dump(configuration, Dumper=_PlainDumper, sort_keys=False)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
