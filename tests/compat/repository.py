# SPDX-License-Identifier: Apache-2.0
"""Sections 2 to 7, 11 and 12 of docs/format.md: objects, keys, packs, index,
snapshots, and which of them count.  cursor.py reads the values of section 1,
columns.py what section 5 says of columns.

The sections below carry the numbers of that page.
"""
import collections
import os
import time

import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import columns
from argon2id import argon2id
from blake3 import blake3, derive_key, keyed
from cursor import Cursor, Damage, demand

TAG = 16
MIB = 1 << 20
DATA, NODE = 1, 2
RAW, ZSTD, COLUMNS = 0, 1, 2


# 1. Conventions

def unseal(key, number, aad, sealed, what):
    nonce = bytes(4) + number.to_bytes(8, "big")
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Damage(what + ": does not authenticate") from None


def unpack_frame(stored, plain, what):
    """Exactly one zstd frame of so many plain bytes."""
    demand(plain > 0, what + ": empty")
    try:
        found = zstandard.ZstdDecompressor().decompress(
            stored, max_output_size=plain, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damage("%s: %s" % (what, error)) from None
    demand(len(found) == plain, what + ": length")
    return found


def unpack(codec, stored, plain, what):
    """C of section 5: the plain bytes of a record."""
    demand(codec in (RAW, ZSTD, COLUMNS), what + ": codec")
    if codec == COLUMNS:
        c = Cursor(stored, what)
        length = c.u32()
        demand(length <= plain, what + ": length of its columns")
        return columns.decode(unpack_frame(c.rest(), length, what), plain,
                              what)
    if codec == ZSTD:
        return unpack_frame(stored, plain, what)
    demand(len(stored) == plain, what + ": length")
    return stored


# 3. config

class Config:
    def __init__(self, data):
        c = Cursor(data, "config")
        demand(len(data) == 96, "config: length")
        demand(c.take(8) == b"cofferCF", "config: magic")
        demand(c.u16() == 1, "config: a version that this page is not about")
        demand(c.u16() == 1, "config: suite")
        demand(c.u32() == 0, "config: features")
        c.u32()
        self.repository = c.take(16)
        self.chunker = c.u32(), c.u32(), c.u32()
        self.pack_target = c.u32()
        c.take(12)
        self.signed = data[:64]
        self.mac = c.take(32)
        _, target, largest = self.chunker
        demand(target and target & target - 1 == 0, "config: chunk target")
        demand(largest <= 8 * MIB, "config: chunk maximum")

    def check(self, keys):
        key = derive_key("coffer 1 config", keys.structure)
        demand(keyed(key, self.signed) == self.mac, "config: MAC")


# 4. Keys

def raw_public(secret):
    return secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def verify(public, text, signed, signature, what):
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(
            signature, text.encode() + bytes(1) + signed)
    except InvalidSignature:
        raise Damage(what + ": signature") from None


Header = collections.namedtuple("Header", "role sign box")


class Keys:
    """One key set, and what is derived from it."""

    def __init__(self, plain, header):
        self.structure = self.id = None
        self.maintenance = self.maintenance_secret = None
        self.sign = self.box = self.root = None
        self.data_keys = {}
        for tag, c in Cursor(plain, "key set").tlv():
            if tag == 1:
                self.structure = c.take(32)
            elif tag == 2:
                self.id = c.take(32)
            elif tag == 3:
                self.add_data_key(c)
            elif tag == 7:
                self.sign = ed25519.Ed25519PrivateKey.from_private_bytes(
                    c.take(32))
                self.box = x25519.X25519PrivateKey.from_private_bytes(
                    c.take(32))
            elif tag == 8:
                self.root = c.take(32)
            elif tag == 9:
                self.check_half(c, self.root, "root")
            elif tag == 10:
                self.maintenance = c.take(32)
            elif tag == 11:
                self.maintenance_secret = self.check_half(
                    c, self.maintenance, "maintenance")
            else:
                continue
            c.end()
        demand(self.structure and self.id and self.data_keys,
               "key set: lacks")
        demand(self.sign and self.root and self.maintenance, "key set: lacks")
        demand(raw_public(self.sign) == header.sign, "key set: identity")
        demand(raw_public(self.box) == header.box, "key set: identity")
        demand(header.role in (1, 2), "this key does not open contents")
        demand(all(s for _, s in self.data_keys.values()), "key set: secrets")
        self.ns = blake3(header.sign)[:16].hex()
        self.names = {DATA: derive_key("coffer 1 data id", self.id),
                      NODE: derive_key("coffer 1 node id", self.id)}

    @staticmethod
    def check_half(c, public, what):
        """The seed of a key whose public half came before."""
        secret = ed25519.Ed25519PrivateKey.from_private_bytes(c.take(32))
        demand(raw_public(secret) == public, "key set: %s key" % what)
        return secret

    def add_data_key(self, c):
        number = c.u32()
        public = c.take(32)
        secret = None
        if c.more():
            secret = x25519.X25519PrivateKey.from_private_bytes(c.take(32))
            demand(raw_public(secret) == public,
                   "key set: the halves of a data key")
        demand(number not in self.data_keys, "key set: a data key twice")
        self.data_keys[number] = public, secret

    def take_grant(self, name, data, public):
        """The data key of a rotation, if this grant holds it."""
        c = Cursor(data, name)
        number, granted = c.u32(), c.take(32)
        epk = c.take(32)
        sealed = c.take(len(data) - c.at - 64)
        signature = c.rest()
        try:
            verify(self.root, "coffer 1 grant", name.encode() + data[:-64],
                   signature, name)
        except Damage:
            return
        if granted != public:
            return
        peer = x25519.X25519PublicKey.from_public_bytes(epk)
        key = derive_key("coffer 1 grant", self.box.exchange(peer) + epk
                         + raw_public(self.box))
        secret = unseal(key, 0, name.encode(), sealed, name)
        if number not in self.data_keys:
            self.add_data_key(Cursor(number.to_bytes(4, "little") + granted
                                     + secret, name))

    def name(self, kind, content):
        return keyed(self.names[kind], content)

    def open_box(self, data, magic, context, name, what):
        """Section 6: a box."""
        c = Cursor(data, what)
        demand(c.take(8) == magic, what + ": magic")
        demand(c.u16() == 1, what + ": version")
        c.take(6)
        key = derive_key(context, self.structure + c.take(32))
        return Cursor(unseal(key, 0, data[:48] + name, c.rest(), what), what)

    def open_signed_box(self, data, magic, context, name):
        """Section 11: a signed box."""
        c = self.open_box(data, magic, context, name.encode(), name)
        signature = c.take(64)
        signed = c.rest()
        verify(self.maintenance, "coffer 1 maintenance",
               name.encode() + signed, signature, name)
        return Cursor(signed, name)


def open_key(data, name, repository, passphrase):
    """The key set, or None if the object is not meant for us."""
    demand(blake3(data)[:8].hex() == name, "keys/%s: name" % name)
    c = Cursor(data, "keys/" + name)
    demand(c.take(8) == b"cofferKY", c.what + ": magic")
    demand(c.u16() == 1, c.what + ": version")
    role = c.u8()
    wrap = c.u8()
    passes, memory_kib = c.u32(), c.u32()
    salt = c.take(16)
    if c.take(16) != repository or wrap != 1:
        return None
    c.take(8)
    length = c.u32()
    header = Header(role, c.take(32), c.take(32))
    certificate = c.take(64)
    sealed = c.take(length)
    about = c.rest()
    secret = argon2id(passphrase, salt, passes, memory_kib, 32)
    key = derive_key("coffer 1 key wrap", secret)
    try:
        plain = unseal(key, 0, data[:192], sealed, c.what)
    except Damage:
        return None
    keys = Keys(plain, header)
    verify(keys.root, "coffer 1 identity", repository + bytes([role])
           + header.sign + header.box, certificate, c.what)
    key = derive_key("coffer 1 key about", keys.structure + salt)
    unseal(key, 0, data[:192], about, c.what + ", about")
    return keys


# 5. Packs

Record = collections.namedtuple(
    "Record", "type codec envelope number stored plain head id offset")


def read_records(c):
    """The list of records, in a pack's table and in the index."""
    records = []
    offset = 48
    for _ in range(c.varint()):
        r = Record(c.u8(), c.u8(), c.varint(), c.varint(), c.varint(),
                   c.varint(), c.varint(), c.take(32), offset)
        demand(r.type in (DATA, NODE), c.what + ": type of a record")
        demand(max(r.plain, r.head) <= 16 * MIB, c.what + ": lengths")
        demand(r.type == NODE or r.head == 0, c.what + ": a head on data")
        tags = TAG if r.type == DATA else 2 * TAG
        whole = r.plain + r.head + tags
        demand(r.stored == whole if r.codec == RAW
               else r.head + tags < r.stored < whole,
               c.what + ": stored length")
        records.append(r)
        offset += r.stored
    demand(len(records) <= 65536, c.what + ": too many records")
    return records


class Pack:
    def __init__(self, data, name, keys):
        self.name = name
        self.what = "pack " + name
        self.data = data
        self.keys = keys
        demand(blake3(data).hex() == name, self.what + ": name")
        demand(len(data) <= 128 * MIB, self.what + ": too long")
        demand(len(data) % 4096 == 0, self.what + ": length")
        c = Cursor(data, self.what)
        demand(c.take(8) == b"cofferPK", self.what + ": magic")
        demand(c.u16() == 1, self.what + ": version")
        self.kind = c.u8()
        demand(self.kind in (DATA, NODE), self.what + ": kind")
        c.u8()
        # Of each envelope: number of the data key, and epk.  The first is the
        # pack's own.
        self.envelopes = [(c.u32(), c.take(32))]
        self.content_keys = {}
        self.read_table()

    def read_table(self):
        end = len(self.data) - 16
        trailer = Cursor(self.data[end:], self.what)
        length = trailer.u32()
        trailer.u32()
        demand(trailer.take(8) == b"cofferPE", self.what + ": trailer")
        demand(length <= end - 48, self.what + ": length of its table")
        key = derive_key("coffer 1 pack table",
                         self.keys.structure + self.envelopes[0][1])
        c = Cursor(unseal(key, 0, self.data[:48], self.data[end - length:end],
                          self.what + ", table"), self.what + ", table")
        self.envelopes += [(c.u32(), c.take(32)) for _ in range(c.varint())]
        self.records = read_records(c)
        demand(not any(c.rest()), c.what + ": padding")
        for r in self.records:
            demand(r.type == self.kind, c.what + ": a record of other type")
        records_end = 48 + sum(r.stored for r in self.records)
        demand(records_end == end - length, c.what + ": a gap")

    def content_key(self, envelope):
        if envelope not in self.content_keys:
            number, epk = self.envelopes[envelope]
            demand(number in self.keys.data_keys, self.what + ": data key")
            public, secret = self.keys.data_keys[number]
            peer = x25519.X25519PublicKey.from_public_bytes(epk)
            self.content_keys[envelope] = derive_key(
                "coffer 1 pack data", secret.exchange(peer) + epk + public)
        return self.content_keys[envelope]

    def refs_key(self, envelope):
        return derive_key("coffer 1 pack refs",
                          self.keys.structure + self.envelopes[envelope][1])

    def open(self, r):
        """The head and the plain bytes of a record; the head of data is
        empty."""
        what = "%s, record at %d" % (self.what, r.offset)
        demand(r.envelope < len(self.envelopes), what + ": envelope")
        stored = self.data[r.offset:r.offset + r.stored]
        aad = (bytes([r.type, r.codec]) + r.plain.to_bytes(4, "little")
               + r.head.to_bytes(4, "little") + r.id)
        head = b""
        if r.type == NODE:
            head = unseal(self.refs_key(r.envelope), r.number, aad,
                          stored[:r.head + TAG], what + ", head")
            stored = stored[r.head + TAG:]
        c = unseal(self.content_key(r.envelope), r.number, aad, stored, what)
        plain = unpack(r.codec, c, r.plain, what)
        demand(self.keys.name(r.type, head + plain) == r.id, what + ": id")
        return head, plain


# 12. Prunes and what counts

def read_segments(c):
    """A list of index segments: (epoch, base, id in hexadecimal)."""
    found = []
    for _ in range(c.varint()):
        epoch, base = c.varint(), c.u8()
        demand(base in (0, 1), c.what + ": base")
        found.append((epoch, base, c.take(32).hex()))
    demand(found == sorted(set(found)), c.what + ": order of segments")
    return found


def read_list(c, read):
    found = [read(c) for _ in range(c.varint())]
    demand(found == sorted(set(found)), c.what + ": order")
    return found


class Counting:
    """What the newest final says."""

    def __init__(self, repository):
        steps = {tuple(name.split("/")[1:]) for name
                 in repository.names("prune")}
        finals = [int(e) for e, step in steps if step == "final"]
        self.newest = max((int(e) for e, _ in steps), default=0)
        self.final = max(finals, default=0)
        self.segments = self.snapshots = ()
        if self.final:
            self.read(repository)
        for epoch, step in steps:
            if step == "condemned":
                self.check_condemned(repository, epoch)

    def read(self, repository):
        name = "prune/%d/final" % self.final
        c = repository.keys.open_signed_box(
            repository.object(name), b"cofferPF", "coffer 1 box final", name)
        c.time_ns()
        read_list(c, lambda c: c.take(32))
        self.segments = read_segments(c)
        self.snapshots = read_list(c, lambda c: (c.take(16).hex(),
                                                 c.take(16).hex()))
        c.end()

    @staticmethod
    def check_condemned(repository, epoch):
        """Opened to prove that it can be."""
        name = "prune/%s/condemned" % epoch
        c = repository.keys.open_signed_box(
            repository.object(name), b"cofferPC", "coffer 1 box condemned",
            name)
        c.time_ns()
        read_list(c, lambda c: c.take(32))
        read_list(c, lambda c: c.take(32))
        read_segments(c)
        read_segments(c)
        read_list(c, lambda c: (c.take(32), c.varint()))
        read_list(c, lambda c: c.take(32))
        c.end()

    def segment(self, name):
        _, epoch, digest = name.split("/")
        base = epoch.endswith(".base")
        epoch = int(epoch.removesuffix(".base"))
        return ((not base and epoch >= self.final)
                or (epoch, int(base), digest) in self.segments)

    def snapshot(self, name, view):
        return view >= self.final or tuple(name.split("/")[1:]) in \
            self.snapshots


# 2. Objects, and 6. Index

class Repository:
    PACKS_KEPT = 4
    CHUNKS_KEPT = 32

    def __init__(self, path, passphrase):
        self.path = os.fsencode(path)
        config = Config(self.object("config"))
        self.keys = self.find_key(config.repository, passphrase)
        config.check(self.keys)
        self.take_rotations()
        self.counting = Counting(self)
        self.packs = {}
        self.chunks = {}
        self.places = {}
        self.pack_lists = {}
        self.read_index()

    def object(self, name):
        with open(os.path.join(self.path, name.encode()), "rb") as file:
            return file.read()

    def names(self, prefix):
        """The objects below prefix, in the order of their names."""
        top = os.path.join(self.path, prefix.encode())
        found = []
        for folder, _, files in os.walk(top):
            for name in files:
                full = os.path.join(folder, name)
                found.append(os.path.relpath(full, self.path).decode())
        return sorted(found)

    def find_key(self, repository, passphrase):
        for name in self.names("keys"):
            keys = open_key(self.object(name), name.split("/")[1], repository,
                            passphrase)
            if keys:
                return keys
        raise Damage("no key of this repository opens with this passphrase")

    def take_rotations(self):
        """The data keys that were made after this key set."""
        for rotation in self.names("rotations"):
            data = self.object(rotation)
            verify(self.keys.root, "coffer 1 rotation",
                   rotation.encode() + data[:32], data[32:], rotation)
            for name in self.names("grants/" + self.keys.ns):
                self.keys.take_grant(name, self.object(name), data[:32])
            demand(int(rotation.split("/")[1]) in self.keys.data_keys,
                   rotation + ": was not granted")

    def read_index(self):
        names = self.names("index")
        for epoch, base, digest in self.counting.segments:
            name = "index/%d%s/%s" % (epoch, ".base" if base else "", digest)
            demand(name in names, name + ": is missing")
        for name in filter(self.counting.segment, names):
            folder, digest = name.rsplit("/", 1)
            data = self.object(name)
            demand(blake3(data).hex() == digest, name + ": name")
            c = self.keys.open_box(data, b"cofferIX", "coffer 1 box index",
                                   folder.encode(), name)
            session = c.take(16)
            demand(not any(session) or not folder.endswith(".base"),
                   name + ": session")
            self.read_segment(c)

    def read_segment(self, c):
        for _ in range(c.varint()):
            pack = c.take(32).hex()
            size = c.varint()
            records = read_records(c)
            self.pack_lists[pack] = size, records
            for r in records:
                self.places[r.type, r.id] = pack, r
        c.end()

    def pack(self, name):
        """A pack of which the index tells, read whole and kept a while."""
        if name not in self.packs:
            if len(self.packs) == self.PACKS_KEPT:
                self.packs.pop(next(iter(self.packs)))
            pack = Pack(self.object("packs/%s/%s" % (name[:2], name)), name,
                        self.keys)
            listed = self.pack_lists.get(name)
            demand(listed in (None, (len(pack.data), pack.records)),
                   "pack %s: the index tells otherwise" % name)
            self.packs[name] = pack
        return self.packs[name]

    def chunk(self, kind, digest):
        """The (head, plain bytes) of a chunk."""
        if (kind, digest) not in self.chunks:
            demand((kind, digest) in self.places,
                   "chunk %s: is in no pack" % digest.hex())
            if len(self.chunks) == self.CHUNKS_KEPT:
                self.chunks.pop(next(iter(self.chunks)))
            name, r = self.places[kind, digest]
            self.chunks[kind, digest] = self.pack(name).open(r)
        return self.chunks[kind, digest]

    def snapshots(self):
        """All snapshots that count and are not forgotten, the oldest
        first."""
        found = [Snapshot(self, name) for name in self.names("snapshots")
                 if self.object(name) != b"FENCED"]
        return sorted((s for s in found if s.counts and not s.forgotten),
                      key=lambda s: (s.begin, s.id))

    def is_forgotten(self, name):
        """Section 11; holds are read after marks."""
        ns, sid = name.split("/")[1:]
        marks = [n for n in self.names("forgotten/" + ns)
                 if n.split("/")[2].startswith(sid + ".")]
        held = "holds/%s/%s" % (ns, sid) in self.names("holds")
        open_marks = 0
        for mark in marks:
            if mark.endswith(".end"):
                c = self.keys.open_signed_box(
                    self.object(mark), b"cofferFE",
                    "coffer 1 box forgotten end", mark)
                if c.u8() == 2:
                    return True
                continue
            self.keys.open_signed_box(self.object(mark), b"cofferFG",
                                      "coffer 1 box forgotten", mark)
            open_marks += mark + ".end" not in marks
        return open_marks > 0 and not held

    def snapshot(self, wanted):
        fits = [s for s in self.snapshots()
                if wanted == "latest" or s.id.startswith(wanted)]
        demand(fits, "no such snapshot")
        demand(wanted == "latest" or len(fits) == 1, "which snapshot?")
        return fits[-1]

    def sessions(self):
        """The sessions that began, opened to prove that they can be."""
        names = [n for n in self.names("sessions") if n.endswith(".start")]
        for name in names:
            c = self.keys.open_box(self.object(name), b"cofferSS",
                                   "coffer 1 box session", name.encode(), name)
            fields = dict(c.tlv())
            demand({1, 4, 5} <= fields.keys(), name + ": fields")
            demand(len(fields[4].rest()) == 16, name + ": identity")
        return names


# 7. Snapshots

class Snapshot:
    def __init__(self, repository, name):
        self.id = name.split("/")[2]
        self.root = self.parent = None
        self.texts = collections.defaultdict(list)
        self.begin = self.end = self.flags = 0
        self.figures = []
        c = repository.keys.open_box(
            repository.object(name), b"cofferSN", "coffer 1 box snapshot",
            name.encode(), name)
        signature = c.take(64)
        signed = c.data[c.at:]
        identity = c.take(32)
        verify(identity, "coffer 1 snapshot", name.encode() + signed,
               signature, name)
        demand(blake3(identity)[:16].hex() == name.split("/")[1],
               name + ": identity")
        self.view = c.number(8)
        self.counts = repository.counting.snapshot(name, self.view)
        self.forgotten = repository.is_forgotten(name)
        seen = set()
        for tag, value in c.tlv():
            demand(tag in (7, 8) or tag > 11 or tag not in seen,
                   value.what + ": twice")
            seen.add(tag)
            self.field(tag, value)
        demand(self.root, name + ": no root")

    def field(self, tag, c):
        demand(tag > 11 or len(c.data) <= 65536, c.what + ": too long")
        if tag == 1:
            self.root = c.take(32)
        elif tag == 2:
            self.begin = c.time_ns()
        elif tag == 3:
            self.end = c.time_ns()
        elif tag == 9:
            self.parent = c.take(16)
        elif tag == 10:
            while c.more():
                self.figures.append(c.varint())
        elif tag == 11:
            self.flags = c.varint()
        else:
            self.texts[tag].append(c.rest().decode(errors="replace"))
        c.end()

    def __str__(self):
        begin = time.gmtime(self.begin // 10**9)
        return " ".join([self.id, time.strftime("%Y-%m-%dT%H:%M:%SZ", begin),
                         *self.texts[4], *self.texts[7],
                         *("#" + tag for tag in self.texts[8])])
