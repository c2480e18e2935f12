# SPDX-License-Identifier: Apache-2.0
"""Section 8 of docs/format.md: the tree, its entries and their contents."""
import collections

from repository import DATA, MIB, NODE, Cursor, demand

ENTRIES, EXTENTS = 1, 2
WEIGHT_MAX = (1 << 64) - 1

Item = collections.namedtuple("Item", "key references value weight")
Goal = collections.namedtuple("Goal", "id level key items weight")


class Node:
    def __init__(self, repository, digest):
        self.what = "node " + digest.hex()
        head, body = repository.chunk(NODE, digest)
        demand(len(body) + len(head) <= 8 * MIB, self.what + ": too long")
        c = Cursor(head, self.what + ", head")
        nodes, chunks = c.u32(), c.u32()
        self.references = [(NODE, c.take(32)) for _ in range(nodes)]
        self.references += [(DATA, c.take(32)) for _ in range(chunks)]
        c.end()
        c = Cursor(body, self.what)
        self.level, self.kind = c.u8(), c.u8()
        demand(self.level < 32, self.what + ": level")
        self.items = []
        for _ in range(c.varint()):
            self.read_item(c)
        c.end()
        demand(sum(map(self.size_of, self.items)) <= 8 * MIB,
               self.what + ": its items are too large")
        demand(self.level == 0 or len(self.items) == nodes and not chunks,
               self.what + ": references of an inner node")

    def read_item(self, c):
        before = self.items[-1].key if self.items else b""
        shared = c.varint()
        rest = c.bytes()
        demand(shared <= len(before), self.what + ": shared length")
        key = before[:shared] + rest
        demand(not self.items or key > before, self.what + ": order of keys")
        demand(shared == len(before) or before[shared] != key[shared],
               self.what + ": a key could share more")
        demand(len(key) <= 65535, self.what + ": a key too long")
        if self.level == 0:
            numbers = [c.varint() for _ in range(c.varint())]
            demand(all(n < len(self.references) for n in numbers),
                   self.what + ": a reference that is not in the head")
            demand(len(numbers) <= 65536, self.what + ": references")
            references = [self.references[n] for n in numbers]
            value = c.bytes()
            demand(len(value) <= 131072, self.what + ": a value too long")
            self.items.append(Item(key, references, value, c.varint()))
        else:
            self.items.append(Item(key, None, c.varint(), c.varint()))

    def size_of(self, item):
        """What an item counts, where a node ends and how large it can be."""
        if self.level > 0:
            return 64 + len(item.key)
        return (32 + len(item.key) + len(item.value)
                + 32 * len(item.references))

    def children(self):
        """Inner nodes: what each item says of the child in its position."""
        for (kind, digest), item in zip(self.references, self.items):
            demand(kind == NODE, self.what + ": a child that is no node")
            yield Goal(digest, self.level - 1, item.key, item.value,
                       item.weight)

    def fits(self, goal):
        """Whether the node is what the item above says."""
        items = self.items
        count = len(items)
        if self.level > 0:
            count = sum(i.value for i in items)
        weight = min(sum(i.weight for i in items), WEIGHT_MAX)
        return items and goal == (goal.id, self.level, items[0].key, count,
                                  weight)


def walk(repository, root, kind):
    """The items of the leaves of a tree, in order."""
    todo = [Goal(root, None, None, None, None)]
    last = None
    while todo:
        goal = todo.pop()
        node = Node(repository, goal.id)
        demand(node.kind == kind, node.what + ": kind of tree")
        demand(goal.level is None or node.fits(goal),
               node.what + ": not as the node above says")
        if node.level > 0:
            demand(node.items, node.what + ": an empty inner node")
            todo += reversed(list(node.children()))
            continue
        for item in node.items:
            demand(last is None or item.key > last, node.what + ": order")
            last = item.key
            yield item


FILE, DIRECTORY, SYMLINK, CHARACTER, BLOCK, FIFO, SOCKET, IMAGE, STREAM, \
    RECORD = range(1, 11)
WITH_CONTENT = (FILE, IMAGE, STREAM, RECORD)
INLINE, SLICES, IN_EXTENTS, LINK = range(1, 5)
KNOWN_FIELDS = 0x7FF

# A run of content: so many bytes, at offset of a data chunk; or a hole, of
# which chunk is None.
Slice = collections.namedtuple("Slice", "length chunk offset")


class Entry:
    def __init__(self, item):
        self.path = item.key.replace(b"\0", b"/")
        self.what = "entry %r" % self.path
        self.references = item.references
        self.content = None
        self.xattrs = {}
        self.xattr_slices = None
        self.user = self.group = self.target = self.device = None
        self.links, self.inode_flags, self.marks, self.volume = 1, 0, 0, 0
        for part in item.key.split(b"\0") if item.key else ():
            demand(1 <= len(part) <= 255 and part not in (b".", b"..")
                   and b"/" not in part, self.what + ": name")
        c = Cursor(item.value, self.what)
        self.type = c.u8()
        demand(FILE <= self.type <= RECORD, self.what + ": type")
        fields = c.varint()
        demand(fields & 0xFFFFFF & ~KNOWN_FIELDS == 0, self.what + ": fields")
        self.mode, self.uid, self.gid = c.varint(), c.varint(), c.varint()
        demand(self.mode <= 0o7777, self.what + ": mode")
        self.mtime, self.ctime = c.time_ns(), c.time_ns()
        self.inode, self.size = c.varint(), c.varint()
        demand(self.size == item.weight, self.what + ": weight")
        demand(fields & 0x220 != 0x220, self.what + ": attributes twice")
        demand(not fields & 8 or self.type in (CHARACTER, BLOCK),
               self.what + ": device numbers")
        demand(not fields & 16 or self.type == SYMLINK,
               self.what + ": a target")
        self.read_fields(c, fields)

    def read_fields(self, c, fields):
        if fields & 1:
            self.user = c.bytes()
        if fields & 2:
            self.group = c.bytes()
        if fields & 4:
            self.links = c.varint()
        if fields & 8:
            self.device = c.varint(), c.varint()
        if fields & 16:
            self.target = c.bytes()
            demand(self.target and b"\0" not in self.target,
                   self.what + ": target")
        if fields & 32:
            data = c.bytes()
            demand(len(data) <= 65536, self.what + ": attributes too long")
            self.read_xattrs(Cursor(data, self.what + ", attributes"))
        if fields & 64:
            self.inode_flags = c.varint()
        if fields & 128:
            self.marks = c.varint()
        if fields & 256:
            self.content = self.read_content(c)
        if fields & 512:
            self.xattr_slices = self.read_slices(c, c.varint())
        if fields & 1024:
            self.volume = c.varint()

    def read_xattrs(self, c):
        last = b""
        for _ in range(c.varint()):
            name = c.bytes()
            demand(name > last, c.what + ": order of names")
            self.xattrs[name] = c.bytes()
            last = name
        c.end()

    def read_content(self, c):
        kind = c.u8()
        demand(self.type != DIRECTORY if kind == LINK
               else self.type in WITH_CONTENT, self.what + ": a content")
        if kind == INLINE:
            content = c.bytes()
            demand(len(content) == self.size, self.what + ": size")
            return kind, content
        if kind == SLICES:
            return kind, self.read_slices(c, self.size)
        if kind == IN_EXTENTS:
            return kind, self.reference(c.varint(), NODE)
        demand(kind == LINK, self.what + ": kind of content")
        return kind, c.bytes().replace(b"\0", b"/")

    def read_slices(self, c, size):
        slices = []
        for _ in range(c.varint()):
            length, r = c.varint(), c.varint()
            demand(length > 0, self.what + ": an empty slice")
            if r == 0:
                slices.append(Slice(length, None, 0))
            else:
                chunk = self.reference(r - 1, DATA)
                slices.append(Slice(length, chunk, c.varint()))
        demand(sum(s.length for s in slices) == size, self.what + ": size")
        return slices

    def reference(self, r, kind):
        demand(r < len(self.references) and self.references[r][0] == kind,
               self.what + ": a reference that it does not have")
        return self.references[r][1]


def entries(repository, snapshot):
    """The entries of a snapshot in order; those before are kept by path, for
    a link names one of them."""
    earlier = {}
    for item in walk(repository, snapshot.root, ENTRIES):
        entry = Entry(item)
        if entry.xattr_slices is not None:
            data = b"".join(pieces(repository, entry.xattr_slices))
            entry.read_xattrs(Cursor(data, entry.what + ", attributes"))
        if entry.content and entry.content[0] == LINK:
            first = earlier.get(entry.content[1])
            demand(first and first.type == entry.type
                   and not (first.content and first.content[0] == LINK),
                   entry.what + ": link to what is not there")
        earlier[entry.path] = entry
        yield entry


def extents(repository, root, size):
    """The slices that an extent tree stands for, holes among them."""
    at = 0
    for item in walk(repository, root, EXTENTS):
        what = "extent tree " + root.hex()
        c = Cursor(item.value, what)
        demand(len(item.key) == 8, what + ": key")
        offset = int.from_bytes(item.key, "big")
        length, inside = c.varint(), c.varint()
        c.end()
        demand(offset >= at and length > 0, what + ": extents overlap")
        demand(length == item.weight, what + ": weight")
        demand(len(item.references) == 1 and item.references[0][0] == DATA,
               what + ": reference")
        if offset > at:
            yield Slice(offset - at, None, 0)
        yield Slice(length, item.references[0][1], inside)
        at = offset + length
    demand(at <= size, "extent tree %s: too long" % root.hex())
    if at < size:
        yield Slice(size - at, None, 0)


def content_slices(repository, entry):
    """The content of an entry as slices; None where it has none stored."""
    if entry.content is None:
        return None if entry.size else []
    kind, what = entry.content
    if kind == SLICES:
        return what
    if kind == IN_EXTENTS:
        return extents(repository, what, entry.size)
    raise ValueError("an inline content or a link has no slices")


def pieces(repository, slices):
    """The bytes of slices; holes read as zeros."""
    for s in slices:
        if s.chunk is None:
            yield bytes(s.length)
            continue
        _, data = repository.chunk(DATA, s.chunk)
        demand(s.offset + s.length <= len(data),
               "chunk %s: shorter than a slice of it" % s.chunk.hex())
        yield data[s.offset:s.offset + s.length]
