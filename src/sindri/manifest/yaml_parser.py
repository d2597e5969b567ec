"""PyYAML's event parser, loaded without the three quarters of PyYAML that are not used here.

`import yaml` costs 20 ms, about 15 of them for readers, constructors and dumpers. The C parser needs the modules of
errors, nodes, tokens and events, and looks up some exception classes by name while it is loaded.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

_LIGHT_MODULES = ("error", "nodes", "tokens", "events")
# What `yaml/_yaml.pyx` reads from the package while it is loaded, beside the modules above.
_ERRORS = {
    "reader": "ReaderError",
    "scanner": "ScannerError",
    "parser": "ParserError",
    "composer": "ComposerError",
    "constructor": "ConstructorError",
    "emitter": "EmitterError",
    "serializer": "SerializerError",
    "representer": "RepresenterError",
}


def events(data: bytes) -> Iterator[Any]:
    """Return the parser's events for *data*. Each has a `start_mark` with `line` and `column`, counted from 0.

    Raises:
        Exception: the parser's own `YAMLError`, whatever way it was loaded; see `is_yaml_error`.
    """
    # The parser answers None after the last event. `iter` calls it without a frame of ours in between.
    return iter(_parser_class()(data).get_event, None)


def has_fast_parser() -> bool:
    """Return whether PyYAML was built with its C parser; without it a manifest is read some ten times slower."""
    return str(_parser_class().__name__) == "CParser"


def is_yaml_error(error: Exception) -> bool:
    """Tell whether *error* is the parser's. The class itself is only there once the parser was loaded."""
    module = sys.modules.get("yaml.error")
    return module is not None and isinstance(error, module.YAMLError)


def _parser_class() -> Any:
    loaded = sys.modules.get("yaml._yaml")
    if loaded is not None:
        return loaded.CParser
    # Only in a process of ours: in a host's, its own `import yaml` must find every class as PyYAML's author meant it,
    # and other threads may be importing.
    if "sindri.cli" in sys.modules and "yaml" not in sys.modules:
        light = _load_light()
        if light is not None:
            return light.CParser
    import yaml

    # PyYAML loads the C parser where it was built, and does not name it among its own.
    loaded = sys.modules.get("yaml._yaml")
    return yaml.SafeLoader if loaded is None else loaded.CParser


def _load_light() -> ModuleType | None:
    """Return `yaml._yaml`, loaded under a stand-in for the package that is taken away again; None when it cannot be.

    What stays in `sys.modules` are PyYAML's real submodules, so a later `import yaml` works and shares their classes.
    """
    from importlib import import_module
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("yaml")
    if spec is None or spec.submodule_search_locations is None:
        return None
    package = type(sys)("yaml")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["yaml"] = package
    try:
        for name in _LIGHT_MODULES:
            setattr(package, name, import_module(f"yaml.{name}"))
        unmarked, marked = package.error.YAMLError, package.error.MarkedYAMLError
        for name, error_name in _ERRORS.items():
            stand_in = type(sys)(f"yaml.{name}")
            is_reader = error_name == "ReaderError"
            error = type(error_name, (unmarked,), {"__init__": _keep}) if is_reader else type(error_name, (marked,), {})
            setattr(stand_in, error_name, error)
            setattr(package, name, stand_in)
        return import_module("yaml._yaml")
    except (ImportError, AttributeError):  # built without libyaml, or a PyYAML that is laid out otherwise
        return None
    finally:
        del sys.modules["yaml"]


def _keep(self: Any, name: str, position: int, character: int, encoding: str, reason: str) -> None:
    """Keep what `yaml.reader.ReaderError` keeps. Its five parameters are PyYAML's."""
    self.name = name
    self.position = position
    self.character = character
    self.encoding = encoding
    self.reason = reason
