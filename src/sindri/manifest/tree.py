"""YAML text -> a tree of scalars, lists and mappings that know where they stand.

The parser's events are walked rather than its `compose` called: that recurses in C, and 100,000 nested brackets crash
the interpreter. Nothing is typed here: a scalar keeps its text, and the table of fields says what it means, so YAML
1.1's surprises (`yes`, `0600`, `22:22`) do not happen.
"""

from __future__ import annotations

from sindri.errors import ManifestError
from sindri.manifest.complaints import quote
from sindri.manifest.yaml_parser import events, is_yaml_error
from sindri.model import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sindri.manifest.complaints import Complaints

MAX_DEPTH = 50
"""How deep lists and mappings may nest."""
MAX_ALIASED_NODES = 1_000
"""How many nodes all aliases of a file together may stand for, beyond the aliases themselves."""

_CORE_TAGS = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(_CORE_TAGS + name for name in ("str", "int", "float", "bool", "null"))
_TEXT_TAGS = frozenset(("!", _CORE_TAGS + "str"))


class Scalar:
    """A piece of text. *plain* says that it stands without quotes and may mean a number, a boolean or nothing."""

    __slots__ = ("column", "line", "plain", "text")

    size = 1

    def __init__(self, text: str, line: int, column: int, *, plain: bool) -> None:
        self.text = text
        self.line = line
        self.column = column
        self.plain = plain


class Items:
    """A list. *size* counts its nodes, aliases expanded; 0 while it is not closed."""

    __slots__ = ("column", "line", "size", "values")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.size = 0
        self.values: list[Tree] = []


class Pairs:
    """A mapping: its keys in order with their values, each key once. *size* as in `Items`."""

    __slots__ = ("column", "key", "keys", "line", "size", "values")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.size = 0
        self.keys: dict[str, Scalar] = {}
        self.values: dict[str, Tree] = {}
        self.key: Scalar | None = None
        """While the mapping is open: the key that waits for its value."""


type_of = {Scalar: "text", Items: "a list", Pairs: "a mapping"}
"""How each kind of tree is called in messages."""

if TYPE_CHECKING:
    Tree = Scalar | Items | Pairs


def read_tree(data: bytes, complaints: Complaints) -> Tree | None:
    """Return the one document in *data*, None when there is none.

    Keys that stand twice, keys that are no text and foreign tags are noted in *complaints*.

    Raises:
        ManifestError: the text is no YAML, or breaks one of the bounds above.
    """
    builder = _Builder(complaints)
    try:
        take = builder.take
        for event in events(data):
            take(event)
    except _StopError as stop:
        raise ManifestError(
            f"Cannot use {complaints.file}: {stop.problem}",
            problems=(f"{complaints.file}:{stop.line}:{stop.column}: {stop.text}",),
        ) from None
    except Exception as error:
        if not is_yaml_error(error):
            raise
        line, column, text = _explain(error, data)
        problem = "it nests too deep" if text == _TOO_DEEP else "it is not valid YAML"
        raise ManifestError(
            f"Cannot use {complaints.file}: {problem}",
            problems=(f"{complaints.file}:{line}:{column}: {text}",),
        ) from None
    return builder.root


def carry(tree: Tree) -> Node:
    """Return *tree* as the value that other parts of Sindri read."""
    if type(tree) is Scalar:
        return Node(value=tree.text, line=tree.line, column=tree.column, plain=tree.plain)
    if type(tree) is Items:
        return Node(value=tuple(carry(item) for item in tree.values), line=tree.line, column=tree.column)
    assert type(tree) is Pairs  # noqa: S101  # for the type checker: there is no fourth kind
    fields = {key: carry(value) for key, value in tree.values.items()}
    return Node(value=fields, line=tree.line, column=tree.column)


class _StopError(Exception):
    """The walk cannot go on."""

    def __init__(self, event: Any, text: str, problem: str = "it is not valid YAML") -> None:
        super().__init__(text)
        self.line = event.start_mark.line + 1
        self.column = event.start_mark.column + 1
        self.text = text
        self.problem = problem


class _Builder:
    """Takes events and grows a tree. Aliases are shared nodes, so they cost nothing here, whatever they stand for."""

    def __init__(self, complaints: Complaints) -> None:
        self.root: Tree | None = None
        self._complaints = complaints
        self._open: list[Items | Pairs] = []
        self._anchors: dict[str, Tree] = {}
        self._aliased = 0
        self._documents = 0
        # By class name: the classes themselves are only there once the parser was loaded.
        self._handlers: dict[str, Callable[[Any], None]] = {
            "ScalarEvent": self._scalar,
            "MappingStartEvent": self._mapping,
            "SequenceStartEvent": self._sequence,
            "MappingEndEvent": self._end,
            "SequenceEndEvent": self._end,
            "AliasEvent": self._alias,
            "DocumentStartEvent": self._document,
        }

    def take(self, event: Any) -> None:
        """Add what *event* says to the tree."""
        handler = self._handlers.get(type(event).__name__)
        if handler is not None:
            handler(event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            text = "a second document begins here: a manifest is one document, without a `---` in its middle"
            raise _StopError(event, text, "it holds more than one document")

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        scalar = Scalar(event.value, mark.line + 1, mark.column + 1, plain=not event.style)
        if event.tag is not None:
            if event.tag in _TEXT_TAGS:
                scalar.plain = False
            elif event.tag not in _SCALAR_TAGS:
                self._complaints.mistake(scalar, f"{_tag(event.tag)}; write the value without it")
        if event.anchor is not None:
            self._anchors[event.anchor] = scalar
        self._add(scalar)

    def _mapping(self, event: Any) -> None:
        self._collection(event, Pairs(event.start_mark.line + 1, event.start_mark.column + 1), _CORE_TAGS + "map")

    def _sequence(self, event: Any) -> None:
        self._collection(event, Items(event.start_mark.line + 1, event.start_mark.column + 1), _CORE_TAGS + "seq")

    def _collection(self, event: Any, collection: Items | Pairs, core_tag: str) -> None:
        if len(self._open) >= MAX_DEPTH:
            text = f"lists and mappings nest more than {MAX_DEPTH} deep here"
            raise _StopError(event, text, "it nests too deep")
        if event.tag is not None and event.tag not in ("!", core_tag):
            self._complaints.mistake(collection, f"{_tag(event.tag)}; write the value without it")
        if event.anchor is not None:
            self._anchors[event.anchor] = collection
        self._open.append(collection)

    def _end(self, event: Any) -> None:
        collection = self._open.pop()
        size = 1
        for value in collection.values.values() if type(collection) is Pairs else collection.values:
            size += value.size  # type: ignore[union-attr]  # the two kinds are told apart in the line above
        # An alias bomb doubles this 100,000 times: capped, so that the number itself stays small.
        collection.size = min(size, _SIZE_CAP)
        self._add(collection)

    def _alias(self, event: Any) -> None:
        tree = self._anchors.get(event.anchor)
        if tree is None:
            raise _StopError(event, "this alias names an anchor that does not exist above it")
        if tree.size == 0:
            raise _StopError(event, "this alias stands inside of what it names", "it contains itself")
        self._aliased += tree.size - 1
        if self._aliased > MAX_ALIASED_NODES:
            text = f"with this alias, the aliases of the file stand for more than {MAX_ALIASED_NODES:,} nodes"
            raise _StopError(event, text, "its aliases expand to too much")
        self._add(tree)

    def _add(self, tree: Tree) -> None:
        if not self._open:
            self.root = tree
            return
        parent = self._open[-1]
        if type(parent) is Items:
            parent.values.append(tree)
        elif type(parent) is Pairs:
            key = parent.key
            if key is None:
                parent.key = tree if type(tree) is Scalar else self._no_key(tree)
                return
            parent.key = None
            if key.text in parent.keys:
                self._twice(key, parent.keys[key.text])
                return
            parent.keys[key.text] = key
            parent.values[key.text] = tree

    def _no_key(self, tree: Tree) -> Scalar:
        """Return what stands for a key that is no text and so has no name to be kept by."""
        self._complaints.mistake(tree, f"a key must be text, this is {type_of[type(tree)]}")
        return Scalar("", tree.line, tree.column, plain=True)

    def _twice(self, key: Scalar, first: Scalar) -> None:
        text = f"the key {quote(key.text)} stands here for the second time; first: line {first.line}"
        self._complaints.mistake(key, text)


_SIZE_CAP = MAX_ALIASED_NODES + 2


def _tag(tag: str) -> str:
    name = tag.removeprefix(_CORE_TAGS).lstrip("!")
    return f"the tag {quote(name)} is not known here"


# libyaml's own limit is 1,000. It looks that far ahead, and so before our walk is there.
_TOO_DEEP = "exceeded maximum nesting depth"
_UNENDING = "found unexpected end of stream"
# libyaml's own sentences are kept where they are clear. They are constants: none holds a piece of the file.
_CLEARER = {
    "mapping values are not allowed in this context": "a second `: ` on this line: put the value in quotes",
    "found character that cannot start any token": "a value cannot begin with this character: put it in quotes",
    _UNENDING: "this quoted value does not end",
    "found undefined tag handle": "this tag's prefix is not declared",
    "could not find expected ':'": "a key without its `:`",
    "did not find expected key": "expected a key: is the indentation right?",
}


def _explain(error: Any, data: bytes) -> tuple[int, int, str]:
    """Return line, column and a sentence for what the parser raised, without a snippet: it could hold a secret."""
    problem = getattr(error, "problem", None) or "this cannot be read"
    text = _CLEARER.get(problem, problem)
    mark = getattr(error, "problem_mark", None)
    if problem == _UNENDING and error.context_mark is not None:
        mark = error.context_mark  # where the value begins, not the end of the file
    if mark is None:
        return _explain_bytes(error, data)
    breaks = _count_breaks(data)
    if mark.line > breaks:  # libyaml ends a last line that has no end, and points behind it
        return breaks + 1, _count_characters(data[max(data.rfind(b"\n"), data.rfind(b"\r")) + 1 :]) + 1, text
    lines = data.splitlines()
    if mark.line < len(lines):
        line = lines[mark.line]
        if b"\t" in line[: len(line) - len(line.lstrip())] and problem == "found character that cannot start any token":
            text = "a tab in the indentation: YAML is indented with spaces"
    return mark.line + 1, mark.column + 1, text


def _explain_bytes(error: Any, data: bytes) -> tuple[int, int, str]:
    """Return the same for a ReaderError, which has an offset in bytes instead of a mark."""
    offset = error.position
    if "trailing" in error.reason:  # the place is inside of a character: back to where it begins
        offset -= 1
        while offset > 0 and data[offset] & 0xC0 == 0x80:
            offset -= 1
    before = data[:offset]
    line = _count_breaks(before) + 1
    column = _count_characters(before[max(before.rfind(b"\n"), before.rfind(b"\r")) + 1 :]) + 1
    if "control" in error.reason:
        return line, column, "a control character: write it as an escape in double quotes"
    return line, column, "this is not UTF-8"


# What ends a line in YAML 1.1 beside CR and LF: NEL, LS and PS. libyaml counts them.
_RARE_BREAKS = (b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")


def _count_breaks(data: bytes) -> int:
    pairs = data.count(b"\r\n")
    return data.count(b"\n") + data.count(b"\r") - pairs + sum(data.count(rare) for rare in _RARE_BREAKS)


def _count_characters(line: bytes) -> int:
    """Return the length of *line* in characters: the bytes 10xxxxxx continue one. A byte order mark is none."""
    return sum(byte & 0xC0 != 0x80 for byte in line.removeprefix(b"\xef\xbb\xbf"))
