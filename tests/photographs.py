"""Real photographs: those in the scikit-image wheel, which nobody has to import."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

NAMES = ("astronaut.png", "chelsea.png", "coffee.png")


def photographs(directory: Path) -> list[Path]:
    """Copy them into ``directory``, and return where they are."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0], "data")
    directory.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(source / name, directory)) for name in NAMES]


def cut_off(photograph: Path, target: Path) -> Path:
    """A photograph of which only the first half has arrived."""
    content = photograph.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    return target
