"""The version as a constant: asking the installed metadata for it costs more than a whole local command."""

from __future__ import annotations

__version__ = "0.1.0"
