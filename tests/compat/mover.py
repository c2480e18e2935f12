# SPDX-License-Identifier: Apache-2.0
"""Rewrites a repository as another program may, from docs/format.md alone.

All records of a kind are moved into one pack, sealed as they were but for
the last, and a prune makes one index segment of all others.  So the program
meets what its own packs seldom hold: foreign envelopes, a pack with an
envelope of its own besides, and a segment that does not count any more, is
still there and names packs that are not.
"""
import os

from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from blake3 import blake3, derive_key
from repository import DATA, NODE, RAW, Record

PAGE = 4096


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def seal(key, number, aad, plain):
    nonce = bytes(4) + number.to_bytes(8, "big")
    return AESGCM(key).encrypt(nonce, plain, aad)


def encode_records(records):
    out = varint(len(records))
    for r in records:
        out += bytes([r.type, r.codec])
        for x in (r.envelope, r.number, r.stored, r.plain, r.head):
            out += varint(x)
        out += r.id
    return out


class Mover:
    """One new pack of a kind."""

    def __init__(self, keys, kind):
        self.keys = keys
        self.kind = kind
        self.secret = x25519.X25519PrivateKey.generate()
        self.epk = self.secret.public_key().public_bytes(Encoding.Raw,
                                                         PublicFormat.Raw)
        self.number = max(keys.data_keys)
        self.foreign = []
        self.records = []
        self.sealed = 0
        self.body = b""

    def move(self, pack, r):
        """Take a record of another pack as it lies there."""
        envelope = pack.envelopes[r.envelope]
        if envelope not in self.foreign:
            self.foreign.append(envelope)
        self.add(r._replace(envelope=1 + self.foreign.index(envelope)),
                 pack.data[r.offset:r.offset + r.stored])

    def reseal(self, pack, r):
        """Take a record, sealed anew, and not compressed."""
        head, plain = pack.open(r)
        self.seal(r.id, RAW, head, len(plain), plain)

    def seal(self, name, codec, head, length, c):
        """Add a record of so many plain bytes, of which c is stored."""
        public, _ = self.keys.data_keys[self.number]
        peer = x25519.X25519PublicKey.from_public_bytes(public)
        key = derive_key("coffer 1 pack data",
                         self.secret.exchange(peer) + self.epk + public)
        aad = (bytes([self.kind, codec]) + length.to_bytes(4, "little")
               + len(head).to_bytes(4, "little") + name)
        stored = b""
        if self.kind == NODE:
            refs = derive_key("coffer 1 pack refs",
                              self.keys.structure + self.epk)
            stored = seal(refs, self.sealed, aad, head)
        stored += seal(key, self.sealed, aad, c)
        self.add(Record(self.kind, codec, 0, self.sealed, len(stored), length,
                        len(head), name, 0), stored)
        self.sealed += 1

    def add(self, r, stored):
        self.records.append(r._replace(offset=48 + len(self.body)))
        self.body += stored

    def pack(self):
        header = (b"cofferPK" + b"\1\0" + bytes([self.kind, 0])
                  + self.number.to_bytes(4, "little") + self.epk)
        table = varint(len(self.foreign))
        for epoch, epk in self.foreign:
            table += epoch.to_bytes(4, "little") + epk
        table += encode_records(self.records)
        table += bytes(-(48 + len(self.body) + len(table) + 16 + 16) % PAGE)
        key = derive_key("coffer 1 pack table",
                         self.keys.structure + self.epk)
        sealed = seal(key, 0, header, table)
        return (header + self.body + sealed
                + len(sealed).to_bytes(4, "little") + bytes(4) + b"cofferPE")

    def put(self, repository):
        """Store the pack; returns its id, and what the index says of it."""
        data = self.pack()
        name = blake3(data)
        put(repository, "packs/%s/%s" % (name.hex()[:2], name.hex()), data)
        return name, name + varint(len(data)) + encode_records(self.records)


def put(repository, name, data):
    path = os.path.join(repository.path, name.encode())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(data)


def gather(repository, kind):
    """The packs of a kind as one pack, and what the index says of it."""
    packs = [repository.pack(name) for name in sorted(repository.pack_lists)]
    found = [(p, r) for p in packs if p.kind == kind for r in p.records]
    mover = Mover(repository.keys, kind)
    for pack, r in found[:-1]:
        mover.move(pack, r)
    mover.reseal(*found[-1])
    return mover.put(repository)[1]


def box(keys, magic, context, name, plain):
    front = magic + b"\1\0" + bytes(6) + os.urandom(32)
    key = derive_key(context, keys.structure + front[16:])
    return front + seal(key, 0, front + name.encode(), plain)


def put_segment(repository, epoch, session, told):
    folder = "index/" + epoch
    segment = box(repository.keys, b"cofferIX", "coffer 1 box index", folder,
                  session + varint(len(told)) + b"".join(told))
    name = "%s/%s" % (folder, blake3(segment).hex())
    put(repository, name, segment)
    return name


def put_step(repository, maintenance, step, magic, plain):
    """A step of the prune that comes next."""
    name = "prune/%d/%s" % (repository.counting.newest + 1, step)
    signed = b"coffer 1 maintenance\0" + name.encode() + plain
    put(repository, name,
        box(repository.keys, magic, "coffer 1 box " + step, name,
            maintenance.sign(signed) + plain))


def encode_segments(names):
    found = []
    for name in names:
        _, epoch, digest = name.split("/")
        base = epoch.endswith(".base")
        found.append((int(epoch.removesuffix(".base")), base,
                      bytes.fromhex(digest)))
    return varint(len(found)) + b"".join(
        varint(e) + bytes([b]) + d for e, b, d in sorted(found))


def encode_snapshots(names):
    return varint(len(names)) + b"".join(
        bytes.fromhex("".join(name.split("/")[1:])) for name in names)


def move_all(repository):
    """Returns the name of the segment that is still there in vain."""
    before = repository.names("index")
    packs = sorted(repository.pack_lists)
    snapshots = [name for name in repository.names("snapshots")]
    told = [gather(repository, kind) for kind in (DATA, NODE)]
    epoch = "%d.base" % (repository.counting.newest + 1)
    name = put_segment(repository, epoch, bytes(16), told)

    time = bytes(2)
    maintenance = repository.keys.maintenance_secret
    put_step(repository, maintenance, "condemned", b"cofferPC",
             time + varint(len(packs)) + bytes.fromhex("".join(packs))
             + varint(len(told)) + b"".join(sorted(t[:32] for t in told))
             + encode_segments(before) + encode_segments(before) + varint(0)
             + encode_snapshots(snapshots))
    put_step(repository, maintenance, "final", b"cofferPF",
             time + varint(0) + encode_segments([name])
             + encode_snapshots(snapshots))
    for gone in before[1:]:
        os.unlink(os.path.join(repository.path, gone.encode()))
    for pack in packs:
        os.unlink(os.path.join(repository.path,
                               ("packs/%s/%s" % (pack[:2], pack)).encode()))
    put_step(repository, maintenance, "done", b"cofferPD", time)
    return before[0]
