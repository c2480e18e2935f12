# SPDX-License-Identifier: Apache-2.0
"""Rewrites a repository as another program may, from docs/format.md alone.

All records of a kind are moved into one pack, sealed as they were but for
the last, and one index segment of level 1 replaces all others.  So the
program meets what its own packs seldom hold: foreign envelopes, a pack with
an envelope of its own besides, a replaced segment that is still there and
names packs that are not.
"""
import os

from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from blake3 import blake3, derive_key
from repository import DATA, NODE, RAW

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
        self.epoch = max(keys.epochs)
        self.foreign = []
        self.records = []
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
        public, _ = self.keys.epochs[self.epoch]
        peer = x25519.X25519PublicKey.from_public_bytes(public)
        key = derive_key("coffer 1 pack data",
                         self.secret.exchange(peer) + self.epk + public)
        aad = (bytes([r.type, RAW]) + len(plain).to_bytes(4, "little")
               + len(head).to_bytes(4, "little") + r.id)
        stored = b""
        if r.type == NODE:
            refs = derive_key("coffer 1 pack refs",
                              self.keys.structure + self.epk)
            stored = seal(refs, 0, aad, head)
        stored += seal(key, 0, aad, plain)
        self.add(r._replace(codec=RAW, envelope=0, number=0,
                            stored=len(stored)), stored)

    def add(self, r, stored):
        self.records.append(r._replace(offset=48 + len(self.body)))
        self.body += stored

    def pack(self):
        header = (b"cofferPK" + b"\1\0" + bytes([self.kind, 0])
                  + self.epoch.to_bytes(4, "little") + self.epk)
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
    data = mover.pack()
    name = blake3(data)
    put(repository, "packs/%s/%s" % (name.hex()[:2], name.hex()), data)
    return name + varint(len(data)) + encode_records(mover.records)


def move_all(repository):
    """Returns the name of the replaced segment that is still there."""
    replaced = repository.names("index")
    told = [gather(repository, kind) for kind in (DATA, NODE)]
    plain = varint(len(replaced))
    for name in replaced:
        _, level, digest = name.split("/")
        plain += bytes([int(level)]) + bytes.fromhex(digest)
    plain += varint(len(told)) + b"".join(told)

    front = b"cofferIX" + b"\1\0" + bytes(6) + os.urandom(32)
    key = derive_key("coffer 1 box index",
                     repository.keys.structure + front[16:])
    segment = front + seal(key, 0, front, plain)
    put(repository, "index/1/" + blake3(segment).hex(), segment)
    for name in replaced[1:]:
        os.unlink(os.path.join(repository.path, name.encode()))
    for name in repository.pack_lists:
        os.unlink(os.path.join(repository.path,
                               ("packs/%s/%s" % (name[:2], name)).encode()))
    return replaced[0]
