"""`sindri.yaml` -> `Manifest`.

`load_manifest` finds and reads the file, `parse_manifest` is its pure half. `json_schema` and `render_reference` are
made from the same table of fields that the loader reads by.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sindri.manifest.loader import parse_manifest as parse_manifest
    from sindri.manifest.locate import find_manifest as find_manifest
    from sindri.manifest.locate import load_manifest as load_manifest
    from sindri.manifest.reference import render_reference as render_reference
    from sindri.manifest.schema import json_schema as json_schema
else:
    # Public name -> its module, imported when the name is first used: `run` never needs the schema.
    _MODULES = {
        "find_manifest": "locate",
        "json_schema": "schema",
        "load_manifest": "locate",
        "parse_manifest": "loader",
        "render_reference": "reference",
    }

    __all__ = list(_MODULES)

    def __getattr__(name: str) -> object:
        module_name = _MODULES.get(name)
        if module_name is None:
            raise AttributeError(f"module 'sindri.manifest' has no attribute {name!r}")
        module = __import__(f"sindri.manifest.{module_name}", fromlist=(name,))
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
