"""Finding and building the control plane's executables, with a Go that only pretends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exuvia import errors
from exuvia.localcluster import binaries, building, versions

_GO = """#!/bin/sh
# A Go that compiles three packages of each program; $FAIL names a program that does not build.
case "$1" in
version) echo "go version go{series}.6 linux/amd64" ;;
list) shift 2; for name in "$@"; do echo "$name"; echo "$name/a"; echo "$name/b"; done ;;
build)
  while [ "$1" != "-o" ]; do shift; done
  for part in one two three; do echo "compiling $part" >&2; done
  case "$2" in */"$FAIL") echo "main.go:1: does not compile" >&2; exit 1 ;; esac
  printf '#!/bin/sh\\n' > "$2"; chmod +x "$2" ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pretended Go of the right series on the PATH."""
    go = tmp_path / "path" / "go"
    go.parent.mkdir()
    go.write_text(_GO.replace("{series}", versions.GO_SERIES), encoding="utf-8")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(binaries.FOLDER_VARIABLE, raising=False)
    return tmp_path / "cache" / "exuvia" / "binaries"


def _fill(folder: Path, names: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch(mode=0o755)


def test_a_named_folder_that_lacks_something_is_refused_by_name(tmp_path: Path) -> None:
    _fill(tmp_path, tuple(name for name in binaries.NAMES if name not in ("etcd", "kwok")))

    with pytest.raises(errors.SettingsError) as caught:
        binaries.ensure(str(tmp_path))

    assert str(caught.value) == (
        f"The folder {tmp_path} lacks etcd, kwok. "
        "Put the executables there, or unset EXUVIA_BINARIES to have them built."
    )


def test_a_file_that_may_not_be_executed_is_lacking(tmp_path: Path) -> None:
    _fill(tmp_path, binaries.NAMES)
    (tmp_path / "etcd").chmod(0o644)

    assert binaries.missing(tmp_path) == ["etcd"]


def test_a_complete_named_folder_is_used_whether_by_option_or_by_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path, binaries.NAMES)
    monkeypatch.setenv(binaries.FOLDER_VARIABLE, str(tmp_path))

    assert binaries.ensure() == binaries.ensure(str(tmp_path)) == tmp_path.resolve()


def test_what_is_missing_is_built_once_and_then_found(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = home / versions.content_key()
    _fill(folder, ("etcd",))

    assert binaries.ensure() == folder
    first = capfd.readouterr()
    assert binaries.ensure() == folder

    assert binaries.missing(folder) == []
    assert "building the control plane (once; cached afterwards)" in first.err
    assert "done in" in first.err
    assert capfd.readouterr() == ("", ""), "found ones are not worth a word"
    assert [one.name for one in home.iterdir() if one.is_dir()] == [folder.name], "no scratch folder is left"


def test_a_build_that_fails_says_what_and_leaves_nothing_that_looks_complete(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "kube-scheduler")

    with pytest.raises(errors.SettingsError) as caught:
        binaries.ensure()

    assert "kube-scheduler could not be built" in caught.value.message
    assert "main.go:1: does not compile" in caught.value.message
    assert "EXUVIA_BINARIES" in caught.value.remedy
    assert len(binaries.missing(home / versions.content_key())) == len(binaries.NAMES)


def test_too_little_disk_is_said_before_minutes_are_spent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "NEEDED_BYTES", 1 << 60)

    with pytest.raises(errors.SettingsError, match=r"needs about .* GiB of disk"):
        binaries.ensure()


def test_a_go_of_another_series_is_not_used(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    go = tmp_path / "path" / "go"
    go.write_text(go.read_text(encoding="utf-8").replace(f"go{versions.GO_SERIES}", "go1.99"), encoding="utf-8")
    carried = binaries.cache_root() / f"go-{versions.GO_SERIES}" / "bin" / "go"
    _fill(carried.parent, ("go",))

    assert building.find_go() == str(carried)


def test_the_cache_folder_changes_with_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    before = versions.content_key()
    monkeypatch.setattr(versions, "GO_SERIES", "1.99")

    assert versions.content_key() != before
    assert len(before) == 12
