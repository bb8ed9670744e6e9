"""YAML files whose errors say where: ``file:line:column: key: what; did you mean …``.

Two steps: ``load_yaml`` gives plain data and the position of every part of it; ``validate`` makes a pydantic model of
the data and turns *every* complaint into one line. Rules beyond the model collect ``Problem``s and call ``refuse``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.reader import ReaderError

from crep.harness.config.complaints import complaint
from crep.harness.config.errors import UsageError

Loc = tuple[str | int, ...]
"""Keys and list indices from the top of the document."""

LARGEST_FILE = 1 << 20  # bytes
MOST_PARTS = 100_000  # aliases can multiply a short document


@dataclass(frozen=True)
class Problem:
    """Something wrong at ``loc``. ``at_key`` points to the key itself, not to its value."""

    loc: Loc
    text: str
    at_key: bool = False


@dataclass
class Positions:
    """Line and column (from 1) of each key and value of one document; ``notes`` say where a value came from."""

    keys: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    values: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    notes: dict[Loc, str] = field(default_factory=dict)

    def known(self, loc: Sequence[str | int]) -> Loc:
        """The part of ``loc`` that the document has; steps that only the model has (a choice's name) are left out."""
        here: Loc = ()
        for step in loc:
            if (*here, step) in self.values:
                here = (*here, step)
        return here

    def of(self, loc: Sequence[str | int], *, at_key: bool = False) -> tuple[int, int]:
        """Position of ``loc``, or of the nearest part above it."""
        here = self.known(loc)
        where = self.keys if at_key else self.values
        return where.get(here, self.values.get(here, (1, 1)))


def load_yaml(path: Path) -> tuple[dict[str, Any], Positions]:
    """The file's data as plain dicts, lists and scalars, with positions. Empty mappings are allowed, an empty file not.

    Raises:
        UsageError: the file cannot be read, is not YAML, has a key twice, or is not a mapping.
    """
    return parse_yaml(read_text(path), path)


def read_text(path: Path) -> str:
    """The text of a file that the user named.

    Raises:
        UsageError: missing, a folder, too large, not readable or not UTF-8.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path}: is larger than {LARGEST_FILE >> 20} MiB, so it is hardly the file that you mean")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder, not a file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def parse_yaml(text: str, path: Path) -> tuple[dict[str, Any], Positions]:
    """As ``load_yaml``, from text; ``path`` is for messages."""
    try:
        tree = YAML(typ="rt").load(StringIO(text))
    except MarkedYAMLError as error:
        raise UsageError(f"{path}:{_mark(error)}: {_syntax(error)}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UsageError(f"{path}:{line}:1: there is a character that YAML does not allow") from None
    except (YAMLError, ValueError) as error:
        raise UsageError(f"{path}:1:1: is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise UsageError(f"{path}: is nested too deep to be read; look for brackets that are never closed") from None
    if tree is None:
        raise UsageError(f"{path}:1:1: the file is empty")
    if not isinstance(tree, CommentedMap):
        raise UsageError(f"{path}:1:1: the file must be a mapping (key: value), not {_kind(tree)}")
    reader = _Reader(path)
    data = reader.plain(tree, ())
    refuse(reader.problems, reader.positions, path)
    return data, reader.positions


class _Reader:
    """Walks ruamel's tree once: plain data out, positions and problems beside it."""

    def __init__(self, path: Path) -> None:
        self.positions = Positions(values={(): (1, 1)})
        self.problems: list[Problem] = []
        self._path = path
        self._parts = 0

    def plain(self, node: Any, loc: Loc) -> Any:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise UsageError(f"{self._path}: has more than {MOST_PARTS:,} parts; check its aliases (*name)")
        if isinstance(node, CommentedMap):
            return {str(key): value for key, value in self._entries(node, loc)}
        if isinstance(node, CommentedSeq):
            return list(self._items(node, loc))
        if isinstance(node, TaggedScalar):
            self.problems.append(Problem(loc, f"the tag {node.tag.value} is not understood"))
            return None
        return _scalar(node)

    def _entries(self, node: CommentedMap, loc: Loc) -> Iterator[tuple[str, Any]]:
        for key, value in node.items():
            below = (*loc, str(key))
            own = node.lc.data is not None and key in node.lc.data  # a merged key (<<) has no place of its own
            self.positions.keys[below] = _at(node.lc.key(key)) if own else self.positions.of(loc)
            container = isinstance(value, CommentedMap | CommentedSeq)
            self.positions.values[below] = (
                _at(node.lc.value(key)) if own and not container else self.positions.keys[below]
            )
            if not isinstance(key, str):
                text = f"a key is a word, not {_kind(key)}; put it in quotes"
                self.problems.append(Problem(below, text, at_key=True))
            yield str(key), self.plain(value, below)

    def _items(self, node: CommentedSeq, loc: Loc) -> Iterator[Any]:
        for index, value in enumerate(node):
            below = (*loc, index)
            self.positions.values[below] = _at(node.lc.item(index))
            yield self.plain(value, below)


def _at(position: tuple[int, int]) -> tuple[int, int]:
    return position[0] + 1, position[1] + 1


def _scalar(node: Any) -> Any:
    """Without ruamel's round-trip types, which remember how a number was written."""
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node.isoformat() if isinstance(node, date) else node


def _kind(value: Any) -> str:
    names = ((bool, "a truth value"), (int | float, "a number"), (str, "text"), (list, "a list"), (dict, "a mapping"))
    return next((name for kind, name in names if isinstance(value, kind)), "nothing")


def _mark(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"{mark.line + 1}:{mark.column + 1}" if isinstance(mark, StringMark) or mark is not None else "1:1"


def _syntax(error: MarkedYAMLError) -> str:
    problem = str(error.problem or error.context)
    if problem.startswith("found duplicate key"):
        return f"{problem.split(' with value', maxsplit=1)[0].removeprefix('found ')}: a key can be given once"
    return f"is not YAML: {', '.join(str(part) for part in (error.context, error.problem) if part)}"


Model = TypeVar("Model", bound=BaseModel)


def attempt(model: type[Model], data: Mapping[str, Any]) -> tuple[Model | None, list[Problem]]:
    """An instance of ``model``, or None and every complaint."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(model, details) for details in error.errors(include_url=False)]


def _problem(model: type[BaseModel], details: ErrorDetails) -> Problem:
    text, at_key = complaint(model, details)
    return Problem(details["loc"], text, at_key)


def validate(model: type[Model], data: Mapping[str, Any], positions: Positions, path: Path) -> Model:
    """An instance of ``model``.

    Raises:
        UsageError: one line for every complaint, in the order of the file.
    """
    made, problems = attempt(model, data)
    refuse(problems, positions, path)
    assert made is not None  # noqa: S101 - ``attempt`` gives a model or a problem
    return made


def refuse(problems: Iterable[Problem], positions: Positions, path: Path) -> None:
    """Raise UsageError with one line per problem, in the order of the file; do nothing where there is none."""
    lines = {}
    for problem in problems:
        line, column = positions.of(problem.loc, at_key=problem.at_key)
        key = _dotted(positions, problem)
        note = positions.notes.get(positions.known(problem.loc), "")
        lines[f"{path}:{line}:{column}: {key}{problem.text}{note}"] = (line, column)
    if lines:
        raise UsageError("\n".join(sorted(lines, key=lambda text: lines[text])))


def _dotted(positions: Positions, problem: Problem) -> str:
    """``load[0].message.size: `` as the user would name it: choices that only the model knows are left out."""
    loc = positions.known(problem.loc)
    missing = problem.loc[-1:] if problem.at_key and problem.loc and problem.loc[-1] not in loc[-1:] else ()
    text = ""
    for step in (*loc, *missing):
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return f"{text}: " if text else ""
