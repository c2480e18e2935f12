# SPDX-License-Identifier: Apache-2.0
"""What a tree of files is, as a text that can be kept and compared.

    snapshot TAG
    dir DIRECTORY
    NAME  TYPE  MODE  SIZE  MTIME  DETAIL...

Fields are parted by tabs; names are percent-encoded; the top is ".".  MTIME
is in nanoseconds.  Details: sha256=, target=, link= (the first other name of
the file), device=, xattrs= (a hash of all of them).  A field "-" is not
known, and equal to any other.
"""
import collections
import hashlib
import os
import stat
from urllib.parse import quote_from_bytes, unquote_to_bytes

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink",
         stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket"}

Line = collections.namedtuple("Line", "type mode size mtime details")


def quote(name):
    return quote_from_bytes(name, safe=b"/+,:=@ ") or "."


def unquote(text):
    return b"" if text == "." else unquote_to_bytes(text)


def sha256(path):
    digest = hashlib.sha256()
    if not os.access(path, os.R_OK):
        return "unreadable"
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def hash_xattrs(values):
    """The detail that stands for them; none where there are none."""
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        digest.update(b"%d %s %d %s" % (len(name), name, len(value), value))
    return ["xattrs=" + digest.hexdigest()[:16]] if values else []


def xattrs(path):
    try:
        names = [os.fsencode(n)
                 for n in os.listxattr(path, follow_symlinks=False)]
    except OSError:
        return []
    return hash_xattrs({name: os.getxattr(path, name, follow_symlinks=False)
                        for name in names if name != b"security.selinux"})


def describe(path, status, first):
    """The line of one entry; first is an earlier name of it, or None."""
    kind = TYPES[stat.S_IFMT(status.st_mode)]
    details = []
    if first is not None:
        details.append("link=" + quote(first))
    elif kind == "file":
        details.append("sha256=" + sha256(path))
    if kind == "symlink":
        details.append("target=" + quote(os.readlink(path)))
    if kind in ("char", "block"):
        details.append("device=%d:%d" % (os.major(status.st_rdev),
                                         os.minor(status.st_rdev)))
    size = status.st_size if kind == "file" else 0
    return Line(kind, "%04o" % stat.S_IMODE(status.st_mode), str(size),
                str(status.st_mtime_ns), details + xattrs(path))


def paths(top):
    """All paths below top, in the order of the format's keys."""
    found = []
    for folder, folders, files in os.walk(top):
        inside = os.path.relpath(folder, top)
        inside = b"" if inside == b"." else inside + b"/"
        found += [inside + name for name in folders + files]
    return [b""] + sorted(found, key=lambda p: p.replace(b"/", b"\0"))


def scan(top):
    """The lines of a tree on this machine, by path."""
    top = os.fsencode(top)
    seen = {}
    lines = {}
    for path in paths(top):
        full = os.path.join(top, path)
        status = os.lstat(full)
        first = None
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            identity = status.st_dev, status.st_ino
            first = seen.get(identity)
            seen.setdefault(identity, path)
        lines[path] = describe(full, status, first)
    return lines


def write(out, tag, lines):
    print("snapshot", tag, sep="\t", file=out)
    folder = None
    for path, line in lines.items():
        if os.path.dirname(path) != folder:
            folder = os.path.dirname(path)
            print("dir", quote(folder), sep="\t", file=out)
        print(quote(os.path.basename(path)), *line[:4], *line.details,
              sep="\t", file=out)


def read(path):
    """The lines by path, by tag of the snapshot."""
    trees = {}
    folder = b""
    with open(path) as file:
        for text in file:
            fields = text.rstrip("\n").split("\t")
            if fields[0] == "snapshot" and len(fields) == 2:
                lines = trees.setdefault(fields[1], {})
            elif fields[0] == "dir" and len(fields) == 2:
                folder = unquote(fields[1])
            else:
                name = unquote(fields[0])
                lines[os.path.join(folder, name)] = Line(*fields[1:5],
                                                         fields[5:])
    return trees


def same(a, b):
    return a.details == b.details and all(
        x == y or "-" in (x, y) for x, y in zip(a[:4], b[:4]))


def differences(expected, found):
    """What differs, in words; nothing if the trees are equal."""
    for path in expected.keys() | found.keys():
        if path not in found:
            yield "%s: is missing" % quote(path)
        elif path not in expected:
            yield "%s: should not be there" % quote(path)
        elif not same(expected[path], found[path]):
            yield "%s: is %s, should be %s" % (
                quote(path), tuple(found[path]), tuple(expected[path]))
