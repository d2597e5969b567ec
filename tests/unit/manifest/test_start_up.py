"""What loading a manifest imports, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sindri.errors import ManifestError
from sindri.manifest import yaml_parser
from sindri.manifest.complaints import Complaints
from sindri.manifest.tree import read_tree

# A process of the command line is recognised by its package.
AS_COMMAND = "import sys, types; sys.modules['sindri.cli'] = types.ModuleType('sindri.cli')\n"
LOAD = "from sindri.manifest import load_manifest; load_manifest('sindri.yaml')\n"


def run(code: str, folder: Path) -> str:
    (folder / "sindri.yaml").write_text("secrets: [{name: A, source: env}]\n")
    # A measured child would have imported what the measuring needs.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_the_command_line_loads_a_manifest_without_what_it_does_not_use(tmp_path):
    heavy = "re json typing dataclasses enum inspect pathlib difflib logging datetime yaml yaml.scanner".split()
    shown = run(f"{AS_COMMAND}{LOAD}print([name for name in {heavy!r} if name in sys.modules])", tmp_path)
    assert shown == "[]\n"
    shown = run(
        f"{AS_COMMAND}{LOAD}print(sorted(m for m in sys.modules if m.startswith('sindri.manifest.')))", tmp_path
    )
    assert "schema" not in shown
    assert "reference" not in shown
    assert "backend_section" not in shown


def test_a_later_import_of_yaml_is_whole_and_shares_the_parser(tmp_path):
    code = f"""{AS_COMMAND}{LOAD}
parser = sys.modules["yaml._yaml"].CParser
import yaml
assert yaml.load("a: [1]", Loader=yaml.CSafeLoader) == {{"a": [1]}}
assert issubclass(yaml.CSafeLoader, parser)
for text in ("a: b: c", "a: [", "a: " + chr(0)):
    try:
        yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        print(type(error).__name__, bool(str(error)))
"""
    assert run(code, tmp_path) == "ScannerError True\nParserError True\nReaderError True\n"


def test_in_a_program_of_somebody_else_yaml_is_imported_as_usual(tmp_path):
    code = f"""import sys
{LOAD}
import yaml
try:
    yaml.load("a: b: c", Loader=yaml.CSafeLoader)
except yaml.scanner.ScannerError:
    print("caught")
"""
    assert run(code, tmp_path) == "caught\n"


@pytest.mark.parametrize(
    "close",
    [
        "import importlib.machinery as m; m.PathFinder.find_spec = classmethod(lambda *_: None)",
        # `None` in sys.modules makes an import fail, as a missing file does.
        "sys.modules['yaml.events'] = None",
        "sys.modules['yaml._yaml'] = None",
    ],
    ids=["no package", "another layout", "no libyaml"],
)
def test_where_the_light_way_is_closed_no_stand_in_stays_behind(tmp_path, close):
    code = f"""{AS_COMMAND}from sindri.manifest import yaml_parser
{close}
print(yaml_parser._load_light(), "yaml" in sys.modules)
"""
    assert run(code, tmp_path) == "None False\n"


def test_without_libyaml_the_parser_in_python_is_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml._yaml", None)
    import yaml

    assert yaml_parser._parser_class() is yaml.SafeLoader
    tree = read_tree(b"a: [1, {b: 'c'}]\n", Complaints("sindri.yaml"))
    assert tree is not None
    assert tree.size == 6 - 1
    for data in (b"a: b: c", b"a: \0", b"a: \xff", b"a:\n\t- b", b"[" * 5000):
        with pytest.raises(ManifestError):
            read_tree(data, Complaints("sindri.yaml"))


def test_an_error_that_is_not_the_parsers_is_not_taken_for_one():
    assert not yaml_parser.is_yaml_error(ValueError("x"))
