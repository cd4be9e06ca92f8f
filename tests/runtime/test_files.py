"""Files and folders of the program: for its user alone, replaced atomically, and secrets that others cannot choose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.runtime import files
from stream_app.runtime.files import (
    check_secret_file,
    make_file,
    make_folder,
    private,
    read_secret_file,
    replace_file,
    tighten,
    warn_of_rights,
)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The umask that takes no right away."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:o}"


def test_the_content_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    """Neither a temporary file of this time nor one of a process that was killed."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.with_name("file.part").write_bytes(b"of a killed process, longer than the new content")
    replace_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    """Whatever the umask, and whatever mode the old file had."""
    path = tmp_path / "file"
    path.touch(mode=0o666)
    before = os.umask(0)
    try:
        replace_file(path, b"secret")
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write to the folder must not direct the content elsewhere."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / "file.part").symlink_to(victim)
    replace_file(tmp_path / "file", b"new")

    assert victim.read_bytes() == b"untouched"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_content_then_name_reach_the_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synced before the rename, the folder after it."""
    path = tmp_path / "file"
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, path.exists()))

    monkeypatch.setattr(files.os, "fsync", fsync)
    replace_file(path, b"new")

    assert synced == [("file.part", False), (tmp_path.name, True)]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no temporary file, which would keep a full disk full."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")

    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("open_umask")
def test_a_folder_and_those_above_it_are_for_the_owner_alone(tmp_path: Path) -> None:
    """Those that were there are as they were."""
    (tmp_path / "there").mkdir(mode=0o755)
    make_folder(tmp_path / "there" / "a" / "b")
    make_folder(tmp_path / "there" / "a" / "b")

    assert [mode(tmp_path / name) for name in ("there", "there/a", "there/a/b")] == ["755", "700", "700"]


def test_a_folder_cannot_be_made_of_a_file(tmp_path: Path) -> None:
    """Neither in its place nor below it."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            make_folder(path)


@pytest.mark.usefixtures("open_umask")
def test_a_file_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    """One that an earlier release made for all keeps its content and loses their rights."""
    (tmp_path / "old").write_bytes(b"content")
    make_file(tmp_path / "old")
    make_file(tmp_path / "new")

    assert [mode(tmp_path / name) for name in ("old", "new")] == ["600", "600"]
    assert (tmp_path / "old").read_bytes() == b"content"


@pytest.mark.usefixtures("open_umask")
def test_a_tree_is_tightened_and_links_are_not_followed(tmp_path: Path) -> None:
    """What a link leads to is not the program's."""
    outside = tmp_path / "outside"
    outside.touch()
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "file").touch()
    (tree / "link").symlink_to(outside)
    tighten(tree)
    tighten(tmp_path / "nothing")

    assert [mode(path) for path in (tree, tree / "below", tree / "below" / "file")] == ["700", "700", "600"]
    assert mode(outside) == "666"


@pytest.mark.usefixtures("open_umask")
def test_what_libraries_make_meanwhile_is_private(tmp_path: Path) -> None:
    """And nothing after it."""
    with private():
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
    (tmp_path / "after").touch()

    assert [mode(tmp_path / name) for name in ("folder", "file", "after")] == ["700", "600", "666"]


@pytest.mark.parametrize(("rights", "lines"), [(0o700, 0), (0o750, 1), (0o755, 1), (0o777, 1), (0o1777, 0)])
def test_rights_to_a_folder_that_was_there_are_told(
    tmp_path: Path, rights: int, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be a folder of all, such as that of temporary files, so it is not changed."""
    tmp_path.chmod(rights)
    warn_of_rights(tmp_path)

    assert len(caplog.messages) == lines
    assert all(f"(mode {rights:o})" in line and "chmod 700" in line for line in caplog.messages)
    assert mode(tmp_path) == f"{rights:o}"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secrets" / "key"
    make_folder(path.parent)
    replace_file(path, b"a secret")
    return path


@pytest.mark.parametrize("rights", [0o400, 0o440, 0o444, 0o600, 0o640, 0o644])
def test_a_secret_that_others_cannot_write_is_read(secret: Path, rights: int) -> None:
    """Mounted secrets can be read by all, as a rule."""
    secret.chmod(rights)

    assert read_secret_file(secret) == b"a secret"


@pytest.mark.parametrize("rights", [0o620, 0o602, 0o660, 0o666, 0o664, 0o777])
def test_a_secret_that_others_can_write_is_refused(secret: Path, rights: int) -> None:
    """Who writes it chooses it; the line says what to do."""
    secret.chmod(rights)

    with pytest.raises(OptionsError) as refused:
        read_secret_file(secret)
    assert str(refused.value) == f"{secret}: others can write to it, and it holds a secret: chmod go-w {secret}"


@pytest.mark.parametrize(("rights", "accepted"), [(0o755, True), (0o775, False), (0o777, False), (0o1777, True)])
def test_a_secret_in_a_folder_in_which_others_can_replace_it_is_refused(
    secret: Path, rights: int, accepted: bool
) -> None:
    """In a folder with the sticky bit they cannot."""
    secret.parent.chmod(rights)
    if accepted:
        check_secret_file(secret)
        return

    with pytest.raises(OptionsError, match=f"others can write to its folder.*chmod go-w {secret.parent}$"):
        check_secret_file(secret)


def test_the_file_behind_links_counts(secret: Path, tmp_path: Path) -> None:
    """Its rights, those of its folder, and those of the folder of the link."""
    links = tmp_path / "links"
    make_folder(links)
    (links / "next").symlink_to(secret)
    (links / "first").symlink_to(links / "next")
    check_secret_file(links / "first")
    for changed, wrong, right in ((secret, 0o666, 0o600), (secret.parent, 0o777, 0o700), (links, 0o777, 0o700)):
        changed.chmod(wrong)
        with pytest.raises(OptionsError, match=f"chmod go-w {changed}$"):
            check_secret_file(links / "first")
        changed.chmod(right)


def test_a_secret_mounted_as_kubernetes_does_is_read(tmp_path: Path) -> None:
    """Readable by all, in a folder with a date, behind two links, in a folder of all with the sticky bit."""
    mount = tmp_path / "mount"
    dated = mount / "..2026_11_26_06_43_06.123456789"
    dated.mkdir(parents=True)
    (dated / "key").write_bytes(b"a secret")
    (dated / "key").chmod(0o644)
    dated.chmod(0o755)
    (mount / "..data").symlink_to(dated.name)
    (mount / "key").symlink_to("..data/key")
    mount.chmod(0o1777)

    assert read_secret_file(mount / "key") == b"a secret"


def test_a_secret_of_a_user_that_others_can_read_is_told(secret: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One of the system is mounted, and its rights are not the user's to change."""
    secret.chmod(0o644)
    if os.geteuid() == 0:
        check_secret_file(secret)
        assert not caplog.messages
        os.chown(secret, 1000, 1000)
    check_secret_file(secret)

    assert caplog.messages == [f"{secret} holds a secret and others can read it: chmod 600 {secret}"]


def test_a_secret_from_a_pipe_is_read() -> None:
    """As a shell gives it: `<(command)`."""
    reading, writing = os.pipe()
    os.write(writing, b"a secret")
    os.close(writing)

    assert read_secret_file(Path(f"/proc/self/fd/{reading}")) == b"a secret"
    os.close(reading)
