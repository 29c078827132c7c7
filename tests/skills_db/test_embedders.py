"""Embedders: names, options, and what is said where one is missing."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from one_vector import fake_model

from skills_db.embed import load_embedder, names
from skills_db.embedders.minilm import _unpacked
from skills_db.errors import EmbedderMissing


def test_a_name_is_a_file_of_the_shelf_and_its_options_are_checked() -> None:
    assert names() == ["hashing", "minilm", "sentence_transformers"]
    small = load_embedder("hashing", dimensions=64)
    assert (small.name, small.dimensions) == ("hashing-64", 64)
    assert small.embed(["a drawer", "a key"]).shape == (2, 64)
    with pytest.raises(EmbedderMissing, match="did you mean 'hashing'"):
        load_embedder("hashings")
    with pytest.raises(EmbedderMissing, match="dimensions"):
        load_embedder("hashing", dimensions=0)
    with pytest.raises(EmbedderMissing, match="size"):
        load_embedder("hashing", size=8)


def test_a_directory_without_a_model_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(EmbedderMissing, match=r"modules\.json"):
        load_embedder(str(tmp_path))


def test_a_missing_library_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EmbedderMissing, match=r"turnhalle\[embed\]"):
        load_embedder(str(tmp_path))


def test_two_models_in_directories_of_one_name_are_two_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for parent, size in (("one", 10), ("two", 20)):
        home = fake_model(tmp_path / parent, monkeypatch)
        (home / "model.safetensors").write_bytes(b"x" * size)
        found.append(load_embedder(str(home)))
    assert found[0].name.startswith("model-")
    assert found[0].name != found[1].name
    assert found[0].embed(["ab", "\ud800"]).dtype == np.float32
    assert found[0].embed([]).shape == (0, 3)


def test_the_packed_model_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "all_minilm_l6_v2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('it is looked up, not imported')")
    with zipfile.ZipFile(package / "model.zip", "w") as zipped:
        zipped.writestr("modules.json", "[]")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = _unpacked()
    assert (home / "modules.json").read_text() == "[]"
    (home / "mark").touch()
    assert (_unpacked() / "mark").exists()
    assert [path.name for path in home.parent.iterdir()] == ["all-MiniLM-L6-v2"]
    (package / "model.zip").unlink()
    with pytest.raises(EmbedderMissing, match=r"turnhalle\[embed\]"):
        _unpacked()
