# SPDX-License-Identifier: Apache-2.0
"""Argon2id version 1.3 (RFC 9106) with one lane, in plain Python.

A mebibyte and pass takes about half a second.
"""
import hashlib
import struct

MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
TYPE_ID = 2
VERSION = 0x13
SLICES = 4
WORDS = 128

COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))

# P works on each row of 16 words, then on each column of pairs (3.5).
ROWS = tuple(tuple(range(16 * i, 16 * i + 16)) for i in range(8))
PAIRS = tuple(tuple(2 * i + 16 * j + k for j in range(8) for k in (0, 1))
              for i in range(8))


def long_hash(data, length):
    """H' of section 3.3: BLAKE2b with an output of any length."""
    data = struct.pack("<I", length) + data
    if length <= 64:
        return hashlib.blake2b(data, digest_size=length).digest()
    out = b""
    part = hashlib.blake2b(data).digest()
    while length - len(out) > 64:
        out += part[:32]
        rest = length - len(out)
        part = hashlib.blake2b(part, digest_size=min(rest, 64)).digest()
    return out + part


def mul_add(a, b):
    return a + b + 2 * (a & MASK32) * (b & MASK32) & MASK64


def rotr(x, n):
    return (x >> n | x << 64 - n) & MASK64


def permute(v, places):
    """P of section 3.6: one BLAKE2b round, its sums joined by products."""
    for quarter in COLUMNS:
        a, b, c, d = (places[i] for i in quarter)
        v[a] = mul_add(v[a], v[b])
        v[d] = rotr(v[d] ^ v[a], 32)
        v[c] = mul_add(v[c], v[d])
        v[b] = rotr(v[b] ^ v[c], 24)
        v[a] = mul_add(v[a], v[b])
        v[d] = rotr(v[d] ^ v[a], 16)
        v[c] = mul_add(v[c], v[d])
        v[b] = rotr(v[b] ^ v[c], 63)


def compress(x, y):
    """G of section 3.5."""
    r = [a ^ b for a, b in zip(x, y)]
    z = list(r)
    for places in ROWS + PAIRS:
        permute(z, places)
    return [a ^ b for a, b in zip(r, z)]


def addresses(turn, part, blocks, passes, count):
    """J1 of the data-independent slices (3.4.1.2)."""
    zero = [0] * WORDS
    out = []
    for counter in range(1, (count + WORDS - 1) // WORDS + 1):
        seed = [turn, 0, part, blocks, passes, TYPE_ID, counter]
        seed += [0] * (WORDS - len(seed))
        out += compress(zero, compress(zero, seed))
    return [x & MASK32 for x in out]


def reference(j1, turn, part, index, segment):
    """Which block is mixed with the one before (3.4.2)."""
    if turn == 0:
        area, start = part * segment + index - 1, 0
    else:
        area = (SLICES - 1) * segment + index - 1
        start = (part + 1) % SLICES * segment
    x = j1 * j1 >> 32
    return (start + area - 1 - (area * x >> 32)) % (SLICES * segment)


def fill(memory, turn, part, passes):
    """Compute one slice of one pass."""
    segment = len(memory) // SLICES
    independent = turn == 0 and part < SLICES // 2
    if independent:
        table = addresses(turn, part, len(memory), passes, segment)
    for index in range(2 if turn == 0 and part == 0 else 0, segment):
        here = part * segment + index
        before = memory[here - 1]
        j1 = table[index] if independent else before[0] & MASK32
        other = memory[reference(j1, turn, part, index, segment)]
        block = compress(before, other)
        if turn > 0:
            block = [a ^ b for a, b in zip(block, memory[here])]
        memory[here] = block


def argon2id(password, salt, passes, memory_kib, length):
    lanes = 1
    first = struct.pack("<6I", lanes, length, memory_kib, passes, VERSION,
                        TYPE_ID)
    for x in (password, salt, b"", b""):
        first += struct.pack("<I", len(x)) + x
    h0 = hashlib.blake2b(first).digest()

    blocks = memory_kib // SLICES * SLICES
    memory = [None] * blocks
    for i in (0, 1):
        block = long_hash(h0 + struct.pack("<2I", i, 0), 8 * WORDS)
        memory[i] = list(struct.unpack("<%dQ" % WORDS, block))
    for turn in range(passes):
        for part in range(SLICES):
            fill(memory, turn, part, passes)
    return long_hash(struct.pack("<%dQ" % WORDS, *memory[-1]), length)
