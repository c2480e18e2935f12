# SPDX-License-Identifier: Apache-2.0
"""Where the nodes of a tree end: the writer's rule of docs/format.md, 8.

A reader needs none of this.  But a writer that ends its nodes elsewhere
shares none with the trees that are there, and nobody would notice.
"""
import struct

from blake3 import derive_key
from repository import NODE, demand
from tree import Node

MASK = 0xFFFFFFFFFFFFFFFF


def rotl(x, n):
    return (x << n | x >> 64 - n) & MASK


def rounds(v, count):
    a, b, c, d = v
    for _ in range(count):
        a = a + b & MASK
        b = rotl(b, 13) ^ a
        a = rotl(a, 32)
        c = c + d & MASK
        d = rotl(d, 16) ^ c
        a = a + d & MASK
        d = rotl(d, 21) ^ a
        c = c + b & MASK
        b = rotl(b, 17) ^ c
        c = rotl(c, 32)
    return [a, b, c, d]


def siphash24(key, data):
    """SipHash-2-4 (Aumasson, Bernstein, 2012), 64 bits."""
    k0, k1 = struct.unpack("<2Q", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D,
         k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    whole = len(data) // 8 * 8
    last = data[whole:].ljust(7, b"\0") + bytes([len(data) & 255])
    for (m,) in struct.iter_unpack("<Q", data[:whole] + last):
        v[3] ^= m
        v = rounds(v, 2)
        v[0] ^= m
    v[2] ^= 0xFF
    v = rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def ends(key, level, item, size, total):
    """Whether a node ends behind this item, total being the sum so far."""
    if total >= 128 << 10:
        return True
    share = min(MASK, (1 << 64) // (32 << 10) * size)
    return (total >= 8 << 10
            and siphash24(key, bytes([level]) + item.key) < share)


def check_node(key, node, last):
    total = 0
    for number, item in enumerate(node.items, 1):
        size = node.size_of(item)
        total += size
        end = ends(key, node.level, item, size, total)
        if node.level > 0 and number == 1:
            end = False
        if number < len(node.items):
            demand(not end, node.what + ": should have ended before")
        else:
            demand(end or last, node.what + ": should not end yet")


def check(repository, root):
    """Checks a whole tree, level by level; returns how many nodes it has."""
    key = derive_key("coffer 1 boundary", repository.keys.id)[:16]
    level = [root]
    count = 0
    while level:
        nodes = [Node(repository, digest) for digest in level]
        for i, node in enumerate(nodes, 1):
            check_node(key, node, i == len(nodes))
        count += len(nodes)
        level = [digest for node in nodes if node.level > 0
                 for kind, digest in node.references if kind == NODE]
    return count
