#!/usr/bin/env python3
"""Writes the corpus of hostile files beside this script. Needs nothing but Python.

Each file does one thing that a model file must not do; those called "control" do nothing of the kind, so that a
refusal is a refusal of the one thing. `tests/house/hostile.rs` holds every one of them against the readers. Run: python3 tests/hostile/make_hostile.py
"""
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
MARK = "/tmp/glossa-was-run"


def write(name: str, data: bytes) -> None:
    (HERE / name).write_bytes(data)


# ---- pickles -------------------------------------------------------------------------------------------

PROTO = b"\x80\x02"


def text(s: str) -> bytes:
    raw = s.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def call(module: str, name: str, argument: bytes) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n" + argument + b"\x85R"


def storage(kind: str = "FloatStorage", key: str = "0", count: bytes = b"K\x04") -> bytes:
    return b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + count + b"tQ"


def tensor(store: bytes, offset: bytes = b"K\x00", shape: bytes = b"K\x02K\x02\x86", stride: bytes = b"K\x02K\x01\x86") -> bytes:
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + store + offset + shape + stride
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def state(value: bytes) -> bytes:
    return PROTO + b"}" + text("classifier.weight") + value + b"s."


def shapes_again_and_again() -> bytes:
    """A shape of 50,000 sizes, named by a thousand tensors: 300 KB that took 16 GB."""
    shape = b"(" + b"K\x01" * 50_000 + b"t" + b"q\x05"
    out = PROTO + shape + b"0" + storage() + b"q\x06" + b"0" + b"ctorch._utils\n_rebuild_tensor_v2\nq\x070}"
    for i in range(4_000):
        out += text(f"t{i}") + b"h\x07(h\x06K\x00h\x05h\x05\x89NtRs"
    return out + b"."


def dictionaries_again_and_again() -> bytes:
    """Dictionaries of the same dictionary, three deep: 10^9 names in 60 KB."""
    out = PROTO + b"}" + text("x") + tensor(storage()) + b"s" + b"q\x01" + b"0"
    for level in range(3):
        out += b"}(" + b"".join(text(f"k{i}") + b"h" + bytes([level + 1]) for i in range(1_000)) + b"u" + b"q" + bytes([level + 2]) + b"0"
    return out + b"h\x04."


def views_again_and_again() -> bytes:
    """Two thousand turned views of one storage of 64 KB."""
    n = 128
    size = b"M" + struct.pack("<H", n)
    view = tensor(storage(count=b"J" + struct.pack("<i", n * n)), shape=size + size + b"\x86", stride=b"K\x01" + size + b"\x86")
    return PROTO + b"}" + b"".join(text(f"t{i}") + view + b"s" for i in range(2_000)) + b"."


def archive(index: bytes, data: bytes = b"\0" * 16, compressed: bool = False, more: dict | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as z:
        z.writestr(zipfile.ZipInfo("archive/data.pkl"), index, zipfile.ZIP_DEFLATED if len(index) > 1 << 20 else zipfile.ZIP_STORED)
        z.writestr(zipfile.ZipInfo("archive/data/0"), data, zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED)
        for name, content in (more or {}).items():
            z.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def pickles() -> None:
    run = text(f"touch {MARK}")
    code = text(f"open('{MARK}', 'w')")
    write("pickle-shapes-again-and-again.bin", archive(shapes_again_and_again()))
    write("pickle-dictionaries-again-and-again.bin", archive(dictionaries_again_and_again()))
    write("pickle-views-again-and-again.bin", archive(views_again_and_again(), data=b"\0" * (128 * 128 * 4)))
    write("pickle-os-system.bin", archive(state(call("os", "system", run))))
    write("pickle-posix-system.bin", archive(state(call("posix", "system", run))))
    write("pickle-builtins-eval.bin", archive(state(call("builtins", "eval", code))))
    write("pickle-builtin-exec-old-name.bin", archive(state(call("__builtin__", "eval", code))))
    write("pickle-subprocess.bin", archive(state(call("subprocess", "getoutput", run))))
    write("pickle-getattr-chain.bin", archive(state(call("operator", "attrgetter", text("system")))))
    write("pickle-torch-load.bin", archive(state(call("torch", "load", text("/etc/passwd")))))
    # STACK_GLOBAL, the newer opcode, as pickle itself writes it.
    class Evil:
        def __reduce__(self):
            import os
            return os.system, (f"touch {MARK}",)
    write("pickle-protocol-4.bin", archive(pickle.dumps({"w": Evil()}, protocol=4)))
    write("pickle-protocol-0.bin", archive(pickle.dumps({"w": Evil()}, protocol=0)))
    # INST and OBJ call things too; EXT and BUILD and NEWOBJ set things up.
    write("pickle-inst.bin", archive(PROTO + b"(" + run + b"ios\nsystem\n."))
    write("pickle-obj.bin", archive(PROTO + b"(cos\nsystem\n" + run + b"o."))
    write("pickle-newobj.bin", archive(PROTO + b"csubprocess\nPopen\n" + run + b"\x85\x81."))
    write("pickle-extension.bin", archive(PROTO + b"\x82\x01)R."))
    write("pickle-legacy-os-system.bin", PROTO + call("os", "system", run) + b".")
    # Sizes that are not there.
    write("pickle-claims-a-huge-text.bin", archive(PROTO + b"X" + struct.pack("<I", 0xFFFF_FFF0) + b"abc."))
    write("pickle-claims-a-huge-text-8.bin", archive(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc."))
    write("pickle-claims-a-huge-number.bin", archive(PROTO + b"\x8b" + struct.pack("<i", 0x7FFF_FFFF) + b"\1."))
    write("pickle-claims-a-huge-frame.bin", archive(b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"}."))
    write("pickle-negative-length.bin", archive(PROTO + b"\x8b" + struct.pack("<i", -5) + b"\1."))
    write("pickle-deep-nesting.bin", archive(PROTO + b"(" * 100_000 + b"t" * 100_000 + b"."))
    write("pickle-deep-lists.bin", archive(PROTO + b"]" * 100_000 + b"a" * 99_999 + b"."))
    # A list of lists of lists, ten of each: a billion elements by reference.
    laughs = PROTO + b"]q\0"
    for level in range(1, 12):
        laughs += b"]" + b"q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 10 + b"e"
    write("pickle-a-billion-laughs.bin", archive(laughs + b"."))
    write("pickle-memo-far-away.bin", archive(PROTO + b"}r" + struct.pack("<I", 0xFFFF_FFFF) + b"."))
    write("pickle-holds-itself.bin", archive(PROTO + b"}q\0" + text("model") + b"h\0s."))
    write("pickle-without-end.bin", archive(PROTO + b"}" + text("w")))
    write("pickle-empty-stack.bin", archive(PROTO + b"0000."))
    write("pickle-no-tensors.bin", archive(PROTO + b"}."))
    # Tensors that reach outside of their storage.
    write("tensor-offset-outside.bin", archive(state(tensor(storage(), offset=b"K\x02"))))
    write("tensor-negative-offset.bin", archive(state(tensor(storage(), offset=b"J" + struct.pack("<i", -1)))))
    write("tensor-huge-offset.bin", archive(state(tensor(storage(), offset=b"\x8a\x08" + struct.pack("<q", 1 << 61)))))
    write("tensor-huge-shape.bin", archive(state(tensor(storage(), shape=b"J" + struct.pack("<i", 1 << 30) + b"J" + struct.pack("<i", 1 << 30) + b"\x86"))))
    write("tensor-shape-overflows.bin", archive(state(tensor(storage(), shape=(b"\x8a\x08" + struct.pack("<q", 1 << 62)) * 2 + b"\x86"))))
    write("tensor-negative-shape.bin", archive(state(tensor(storage(), shape=b"J" + struct.pack("<i", -2) + b"J" + struct.pack("<i", -2) + b"\x86"))))
    write("tensor-huge-stride.bin", archive(state(tensor(storage(), stride=b"J" + struct.pack("<i", 1 << 30) + b"K\x01\x86"))))
    write("tensor-claims-more-numbers.bin", archive(state(tensor(storage(count=b"J" + struct.pack("<i", 1 << 30))))))
    write("tensor-without-storage.bin", archive(state(tensor(storage(key="7")))))
    write("tensor-storage-outside.bin", archive(state(tensor(storage(key="../../etc/passwd")))))
    whole = archive(state(tensor(storage())))
    write("control.bin", whole)
    write("archive-truncated.bin", whole[: len(whole) // 2])
    write("archive-compressed-storage.bin", archive(state(tensor(storage())), compressed=True))
    write("archive-bomb.bin", archive(b"\0" * (80 << 20)))
    write("archive-without-index.bin", archive(b"").replace(b"data.pkl", b"data.pkx"))
    # Legacy: a count that the file does not have, and one that is negative.
    def legacy(count: int) -> bytes:
        magic = PROTO + b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
        return magic + PROTO + b"M\xe9\x03." + PROTO + b"}." + state(tensor(storage())) + PROTO + b"]" + text("0") + b"a." + struct.pack("<q", count) + b"\0" * 16
    write("control-legacy.bin", legacy(4))
    write("legacy-huge-count.bin", legacy(1 << 62))
    write("legacy-negative-count.bin", legacy(-1))
    write("legacy-truncated.bin", legacy(4)[:-20])
    write("nothing-at-all.bin", b"")
    write("web-page.bin", b"<!DOCTYPE html><html><body>404</body></html>")
    write("lfs-pointer.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n")


# ---- safetensors ---------------------------------------------------------------------------------------


def safetensors(header: object, data: bytes = b"\0" * 16, claim: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if claim is None else claim) + raw + data


def one(shape: list, offsets: list, dtype: str = "F32") -> dict:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def tensors() -> None:
    good = one([2, 2], [0, 16])
    write("control.safetensors", safetensors(good))
    write("header-huge.safetensors", safetensors(good, claim=1 << 62))
    write("header-100-mb.safetensors", safetensors(good, claim=100_000_000))
    write("header-cut.safetensors", safetensors(good)[:20])
    write("header-is-no-json.safetensors", safetensors(b"not json at all"))
    write("header-is-a-list.safetensors", safetensors([1, 2, 3]))
    write("header-deep.safetensors", safetensors(b"[" * 100_000 + b"]" * 100_000))
    write("offsets-outside.safetensors", safetensors(one([2, 2], [0, 1 << 40])))
    write("offsets-backwards.safetensors", safetensors(one([2, 2], [16, 0])))
    write("offsets-overlap.safetensors", safetensors({**good, "v": {"dtype": "F32", "shape": [2, 2], "data_offsets": [8, 24]}}, b"\0" * 24))
    write("offsets-with-a-hole.safetensors", safetensors({**good, "v": {"dtype": "F32", "shape": [2, 2], "data_offsets": [64, 80]}}, b"\0" * 80))
    write("shape-does-not-match.safetensors", safetensors(one([3, 3], [0, 16])))
    write("shape-overflows.safetensors", safetensors(one([1 << 62, 1 << 62], [0, 16])))
    write("shape-negative.safetensors", safetensors(one([-2, -2], [0, 16])))
    write("type-unknown.safetensors", safetensors(one([2, 2], [0, 16], "F33")))
    write("data-cut.safetensors", safetensors(good, b"\0" * 7))
    write("data-too-long.safetensors", safetensors(good, b"\0" * 64))
    write("nothing-at-all.safetensors", b"")
    write("three-bytes.safetensors", b"abc")
    write("lfs-pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n")


# ---- GGUF ----------------------------------------------------------------------------------------------


def gtext(s: str) -> bytes:
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(pairs: list, infos: list, version: int = 3, claims: tuple | None = None, data: bytes = b"\0" * 64) -> bytes:
    count, keys = claims or (len(infos), len(pairs))
    out = b"GGUF" + struct.pack("<IQQ", version, count, keys) + b"".join(pairs) + b"".join(infos)
    return out + b"\0" * (-len(out) % 32) + data


def info(name: str, dims: list, kind: int = 0, offset: int = 0) -> bytes:
    return gtext(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)


def ggufs() -> None:
    arch = gtext("general.architecture") + struct.pack("<I", 8) + gtext("llama")
    w = info("token_embd.weight", [4, 4])
    write("control.gguf", gguf([arch], [w]))
    write("claims-tensors.gguf", gguf([arch], [w], claims=(1 << 60, 1)))
    write("claims-keys.gguf", gguf([arch], [w], claims=(1, 1 << 60)))
    write("claims-a-text.gguf", gguf([gtext("k") + struct.pack("<IQ", 8, 1 << 62)], []))
    write("claims-an-array.gguf", gguf([gtext("k") + struct.pack("<IIQ", 9, 4, 1 << 61)], []))
    write("arrays-in-arrays.gguf", gguf([gtext("k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 20_000 + struct.pack("<IQ", 4, 0)], []))
    write("dimensions.gguf", gguf([arch], [gtext("w") + struct.pack("<I", 1 << 30)]))
    write("shape-overflows.gguf", gguf([arch], [info("w", [1 << 62, 1 << 62])]))
    write("offset-outside.gguf", gguf([arch], [info("w", [4, 4], offset=1 << 40)]))
    write("type-unknown.gguf", gguf([arch], [info("w", [4, 4], kind=99)]))
    write("alignment-zero.gguf", gguf([gtext("general.alignment") + struct.pack("<II", 4, 0), arch], [w]))
    write("alignment-huge.gguf", gguf([gtext("general.alignment") + struct.pack("<II", 4, 1 << 31), arch], [w]))
    write("same-name-twice.gguf", gguf([arch], [w, w]))
    write("version-99.gguf", gguf([arch], [w], version=99))
    write("big-endian.gguf", b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + b"\0" * 64)
    write("cut.gguf", gguf([arch], [w])[:60])
    write("nothing-at-all.gguf", b"")
    write("split-of-many.gguf", gguf([arch, gtext("split.count") + struct.pack("<IH", 2, 65_535)], [w]))
    write("split-count-is-no-number.gguf", gguf([arch, gtext("split.count") + struct.pack("<If", 6, float("nan"))], [w]))
    write("split-count-is-a-word.gguf", gguf([arch, gtext("split.count") + struct.pack("<I", 8) + gtext("two")], [w]))
    write("type-taken-back.gguf", gguf([arch], [info("w", [4, 4], kind=31)]))
    write("lfs-pointer.gguf", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n")
    write("web-page.gguf", b"<!DOCTYPE html><html><body>404</body></html>")
    write("another-magic.gguf", b"GGML" + b"\0" * 64)


# ---- archives of a folder ------------------------------------------------------------------------------


def zipped(entries: list) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content, mode in entries:
            item = zipfile.ZipInfo(name)
            item.external_attr = mode << 16
            z.writestr(item, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def archives() -> None:
    config = ("m/config.json", b'{"model_type":"bert"}', 0o100644)
    for name, path in [
        ("above", "../glossa-was-here"),
        ("far-above", "m/../../../../../../../../tmp/glossa-was-here"),
        ("absolute", "/tmp/glossa-was-here"),
        ("backslash", "..\\glossa-was-here"),
        ("drive", "C:\\glossa-was-here"),
    ]:
        write(f"path-{name}.zip", zipped([config, (path, b"evil", 0o100644)]))
    write("link-to-outside.zip", zipped([config, ("m/out", b"/tmp", 0o120777), ("m/out/glossa-was-here", b"evil", 0o100644)]))
    write("link-to-passwd.zip", zipped([config, ("m/vocab.txt", b"/etc/passwd", 0o120777)]))
    write("many-files.zip", zipped([(f"m/{i}", b"", 0o100644) for i in range(1_500)]))
    # The central directory says four bytes; the entry inflates to 40 MB.
    bomb = bytearray(zipped([config, ("m/model.safetensors", b"\0" * (40 << 20), 0o100644)]))
    size = struct.pack("<I", 40 << 20)
    while (at := bomb.find(size)) >= 0:
        bomb[at : at + 4] = struct.pack("<I", 4)
    write("says-four-bytes.zip", bytes(bomb))
    write("no-model.zip", zipped([("m/readme.txt", b"hello", 0o100644)]))
    write("cut.zip", zipped([config])[:50])
    write("nothing-at-all.zip", b"")


if __name__ == "__main__":
    pickles()
    tensors()
    ggufs()
    archives()
    print(sum(1 for f in HERE.iterdir() if f.suffix != ".py"), "files")
