from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from segbench.data.public import archive
from segbench.data.public.archive import Limits, is_archive, open_archive, unpack
from segbench.errors import DatasetError

FILES = {"set/images/a.png": b"A" * 3000, "set/images/b.png": b"B" * 10, "set/masks/a.png": b"m"}


def make_zip(path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def make_tar(path: Path, mode: Any = "w", files: Mapping[str, bytes] = FILES) -> Path:
    with tarfile.open(path, mode) as out:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def refuse(path: Path, words: str, limits: Limits | None = None) -> str:
    """Unpacks, and checks that it is refused with these words, naming the archive, and that nothing stays behind."""
    target = path.parent / "out" / "x"
    with pytest.raises(DatasetError, match=words) as caught:
        unpack(path, target, limits=limits)
    assert caught.value.path == str(path)
    assert not list(target.parent.iterdir())
    return caught.value.reason


# ---- honest archives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_every_kind_gives_the_folder_with_the_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"pets.{kind}"
    modes = {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
    if kind == "zip":
        make_zip(path)
    else:
        make_tar(path, modes[kind])
    assert is_archive(path)
    folder = open_archive(path)
    assert folder.name == "set"
    found = {f"set/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in folder.rglob("*.png")}
    assert found == FILES


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "wrong_name.zip", "w:gz")
    assert (open_archive(path) / "masks" / "a.png").read_bytes() == b"m"


def test_a_finished_copy_is_used_again_and_a_changed_archive_replaces_it(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "again.zip")
    first = open_archive(path)
    (first / "mark").write_text("still here")
    assert open_archive(path) == first
    assert (first / "mark").exists()
    make_zip(path, {"set/images/a.png": b"changed", "set/masks/a.png": b"m"})
    second = open_archive(path)
    assert (second / "images" / "a.png").read_bytes() == b"changed"
    assert not first.exists()
    copy = make_zip(tmp_path / "other" / "again.zip") if (tmp_path / "other").mkdir() is None else path
    assert open_archive(copy) != second
    assert second.exists(), "an archive of the same name elsewhere is another one"


def test_files_beside_each_other_are_not_descended_into(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "two.zip", {"images/a.png": b"a", "masks/a.png": b"m"})
    assert {item.name for item in open_archive(path).iterdir()} == {"images", "masks"}


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    files = {
        **FILES,
        "__MACOSX/set/._a.png": b"x",
        ".DS_Store": b"x",
        "set/.DS_Store": b"x",
        "set/images/._a.png": b"x",
    }
    folder = open_archive(make_zip(tmp_path / "mac.zip", files))
    assert folder.name == "set"
    assert sorted(file.name for file in folder.rglob("*") if file.is_file()) == ["a.png", "a.png", "b.png"]


def test_archives_inside_stay_as_they_are(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip").read_bytes()
    folder = open_archive(make_zip(tmp_path / "outer.zip", {"inner.zip": inner, "a.png": b"a"}))
    assert (folder / "inner.zip").read_bytes() == inner


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    path = make_zip(tmp_path / "p.zip", {"a": b"a" * (3 << 20), "b": b"b" * (1 << 20)})
    open_archive(path, progress=lambda *told: seen.append(told))
    assert seen[-1] == ("unpacking p.zip, MB", 4, 4)


def test_names_that_are_no_archives() -> None:
    assert not is_archive("folder.png")
    assert not is_archive(Path.cwd())
    assert is_archive("SET.TAR.GZ")


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.png", r"leads out of the folder"),
        ("set/../../evil.png", r"leads out of the folder"),
        ("..\\evil.png", r"leads out of the folder"),
        ("/etc/evil", r"absolute path"),
        ("\\\\server\\evil", r"absolute path"),
        ("C:\\evil.png", r"drive letter"),
        ("set/a\nb.png", r"control character"),
        ("set/" + "x" * 300 + ".png", r"too long"),
        ("/".join(["d" * 200] * 30), r"too long"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_dangerous_names(tmp_path: Path, name: str, words: str, kind: str) -> None:
    files = {"set/a.png": b"a", name: b"evil"}
    path = tmp_path / "in" / f"bad.{kind}"
    path.parent.mkdir()
    make_zip(path, files) if kind == "zip" else make_tar(path, files=files)
    assert "1 of the archive's 2 entries" in refuse(path, words)
    assert not list(tmp_path.rglob("evil*"))


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "nul.zip", {"set/aXb.png": b"a"})
    path.write_bytes(path.read_bytes().replace(b"aXb", b"a\x00b"))
    refuse(path, "control character")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as out:
        info = tarfile.TarInfo("set/link")
        info.type, info.linkname = kind, "/etc/passwd"
        out.addfile(info)
    refuse(path, "'set/link' is a link or a device")


def test_links_in_zip(tmp_path: Path) -> None:
    path = tmp_path / "links.zip"
    with zipfile.ZipFile(path, "w") as out:
        info = zipfile.ZipInfo("set/link")
        info.external_attr = 0o120777 << 16
        out.writestr(info, "/etc/passwd")
    refuse(path, "is a link or a device")


def test_encrypted_zip(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "locked.zip", {"a.png": b"a"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    refuse(path, "is encrypted; if you trust it, unpack it yourself")


def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "case.zip", {"set/A.png": b"1", "set/a.png": b"2"})
    refuse(path, r"'set/a.png' is there twice \(also as 'set/A.png'\)")
    both = make_tar(tmp_path / "unicode.tar", files={"set/\u00e9.png": b"1", "set/e\u0301.png": b"2"})
    refuse(both, "is there twice")


def test_a_file_that_is_a_folder_too(tmp_path: Path) -> None:
    refuse(make_tar(tmp_path / "both.tar", files={"set": b"1", "set/a.png": b"2"}), "lies in 'set', which is a file")


def test_nothing_inside(tmp_path: Path) -> None:
    refuse(make_zip(tmp_path / "empty.zip", {}), "holds no files")
    refuse(make_zip(tmp_path / "litter.zip", {".DS_Store": b"x"}), "holds no files")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_too_many_entries(tmp_path: Path, kind: str) -> None:
    files = {f"{number}.png": b"" for number in range(12)}
    path = tmp_path / f"many.{kind}"
    make_zip(path, files) if kind == "zip" else make_tar(path, "w:gz", files)
    refuse(path, "more than the 10 entries", Limits(entries=10))
    unpack(path, tmp_path / "fine", limits=Limits(entries=12))


# ---- bombs -----------------------------------------------------------------------------------------------------------

SMALL = Limits(free_bytes=1 << 20, ratio=50)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_bomb_that_says_its_size(tmp_path: Path, kind: str) -> None:
    files = {"zeros.png": bytes(8 << 20)}
    path = tmp_path / f"bomb.{kind}"
    make_zip(path, files) if kind == "zip" else make_tar(path, f"w:{kind[4:]}", files)
    assert "times its size" in refuse(path, "unpacked it would have 0.01 GB or more", SMALL)
    unpack(path, tmp_path / "fine", limits=Limits(free_bytes=16 << 20))


def test_the_bytes_are_counted_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header says 10 bytes an entry; the content never ends."""

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    path = make_zip(tmp_path / "liar.zip", {"a.png": b"0123456789"})
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: Endless())
    refuse(path, "unpacked it would have", SMALL)


def test_a_zip_whose_entries_overlap(tmp_path: Path) -> None:
    """One compressed block, listed a thousand times: the table of contents alone is the bomb."""
    block = zipfile.zlib.compressobj(9, zipfile.zlib.DEFLATED, -15)  # type: ignore[attr-defined]
    zeros = bytes(1 << 20)
    data = block.compress(zeros) + block.flush()
    crc = zipfile.zlib.crc32(zeros)  # type: ignore[attr-defined]
    fields = (20, 0, 8, 0, 0, crc, len(data), len(zeros))
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", *fields, 5, 0) + b"0.png" + data
    rows = [
        struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20, *fields, 5, 0, 0, 0, 0, 0, 0) + f"{row:05d}".encode()
        for row in range(1000)
    ]
    table = b"".join(rows)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(rows), len(rows), len(table), len(local), 0)
    path = tmp_path / "overlap.zip"
    path.write_bytes(local + table + end)
    refuse(path, "unpacked it would have 1.05 GB", Limits(free_bytes=1 << 29))


def test_more_than_the_disk_has_free(tmp_path: Path) -> None:
    refuse(make_zip(tmp_path / "full.zip"), "free space", Limits(spare_bytes=1 << 60))


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_cut_off(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"cut.{kind}"
    files = {"set/a.png": os.urandom(5000), "set/b.png": os.urandom(5000)}
    make_zip(path, files) if kind == "zip" else make_tar(path, f"w:{kind[4:]}" if kind != "tar" else "w", files)
    path.write_bytes(path.read_bytes()[:7000])
    refuse(path, "download or copy it again")


def test_wrong_checksum_in_zip(tmp_path: Path) -> None:
    path = tmp_path / "crc.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        out.writestr("a.png", b"pixels of a picture")
    path.write_bytes(path.read_bytes().replace(b"pixels", b"pixelz"))
    refuse(path, r"damaged \(Bad CRC-32 for file 'a.png'\)")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_flipped_bytes_in_tar(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "flipped.tar"
    data = bytearray(pack(make_tar(path, files={"a.png": os.urandom(40_000)}).read_bytes()))
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    refuse(path, "damaged")


def test_a_bomb_behind_the_last_entry(tmp_path: Path) -> None:
    path = tmp_path / "tail.tar"
    path.write_bytes(gzip.compress(make_tar(path, files={"a.png": b"a"}).read_bytes() + bytes(8 << 20)))
    refuse(path, "unpacked it would have", SMALL)


def test_no_archive_at_all(tmp_path: Path) -> None:
    path = tmp_path / "page.zip"
    path.write_bytes(b"<html>Please log in</html>")
    refuse(path, "cannot read it as one")
    with pytest.raises(DatasetError, match="no such file"):
        open_archive(tmp_path / "absent.zip")


def test_a_killed_unpacking_leaves_nothing_that_is_taken_for_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip(tmp_path / "killed.zip")
    write = archive._write

    def dies(entries: Any, *rest: Any) -> None:
        write(entries[:1], *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        open_archive(path)
    monkeypatch.setattr(archive, "_write", write)
    assert len(list(open_archive(path).rglob("*.png"))) == 3


# ---- rar -------------------------------------------------------------------------------------------------------------


def test_rar_without_a_program_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rarfile = pytest.importorskip("rarfile")
    path = tmp_path / "set.rar"
    path.write_bytes(rar5({"set/a.png": b"stored"}))

    def none(*_: Any, **__: Any) -> None:
        raise rarfile.RarCannotExec("no tool")

    monkeypatch.setattr(rarfile, "tool_setup", none)
    refuse(path, "needs one of the programs unar, unrar or bsdtar, and none is installed")


def test_rar_of_stored_files_and_its_dangerous_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rarfile = pytest.importorskip("rarfile")
    monkeypatch.setattr(rarfile, "tool_setup", lambda: None)  # stored entries are read without a program
    path = tmp_path / "set.rar"
    path.write_bytes(rar5({"set/a.png": b"stored", "set/b.png": b"too"}))
    assert (open_archive(path) / "a.png").read_bytes() == b"stored"
    path.write_bytes(rar5({"../evil.png": b"stored"}))
    refuse(path, "leads out of the folder")
    path.write_bytes(b"Rar!\x1a\x07\x01\x00 and then nothing of sense")
    refuse(path, "damaged|holds no files")


def rar5(files: Mapping[str, bytes]) -> bytes:
    """Returns a RAR 5 archive of stored (not compressed) files; nothing here can write one otherwise."""

    def vint(number: int) -> bytes:
        out = bytearray()
        while True:
            out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
            number >>= 7
            if not number:
                return bytes(out)

    def block(body: bytes) -> bytes:
        sized = vint(len(body)) + body
        return struct.pack("<I", zipfile.zlib.crc32(sized)) + sized  # type: ignore[attr-defined]

    result = b"Rar!\x1a\x07\x01\x00" + block(vint(1) + vint(0) + vint(0))
    for name, data in files.items():
        raw = name.encode()
        about = vint(4) + vint(len(data)) + vint(0o100644)
        about += struct.pack("<I", zipfile.zlib.crc32(data))  # type: ignore[attr-defined]
        about += vint(0) + vint(1) + vint(len(raw)) + raw
        result += block(vint(2) + vint(2) + vint(len(data)) + about) + data
    return result + block(vint(5) + vint(0) + vint(0))


def test_an_archive_of_a_longer_name_is_left_alone(tmp_path: Path) -> None:
    make_zip(tmp_path / "foo.zip", {"a.txt": b"1"})
    base = archive.cache_folder() / "archives"
    base.mkdir(parents=True, exist_ok=True)
    other, ours = base / ".foo-2-0123456789abcdef.77.tmp", base / ".foo-0123456789abcdef.77.tmp"
    for folder in (other, ours):
        (folder / "inside").mkdir(parents=True)
    archive.open_archive(tmp_path / "foo.zip")
    assert (other / "inside").is_dir()
    assert not ours.exists()


def test_files_that_vanish_while_unpacking_are_missed(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {f"{number}.txt": b"x" for number in range(6)})

    def remove(_: str, __: int, ___: int) -> None:
        for left in tmp_path.glob(".out.*.tmp/[0-2].txt"):
            left.unlink()

    with pytest.raises(DatasetError, match="6 files were unpacked and 3 are there"):
        unpack(path, tmp_path / "out", progress=remove)
    assert not (tmp_path / "out").exists()


def test_a_colon_in_a_name_says_what_to_do(tmp_path: Path) -> None:
    refuse(make_zip(tmp_path / "a.zip", {"a/12:30.png": b"x"}), "a colon; if you trust it, unpack it yourself and give")
