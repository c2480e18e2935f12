# SPDX-License-Identifier: Apache-2.0
"""BLAKE3 in plain Python: hash, keyed hash and key derivation.

Written from "BLAKE3: one function, fast everywhere" (O'Connor, Aumasson,
Neves, Wilcox-O'Hearn, 2020), sections 2.1 to 2.6.

A word is a Python integer with one 32-bit lane per chunk that is being
compressed, each lane in the low half of 64 bits.  Sums and shifts may spill
into the high half, or into the high half of the lane below; MASK takes that
away.  So the code of one compression compresses a thousand chunks at once.
"""
import struct

BLOCK = 64
CHUNK = 1024

CHUNK_START = 1
CHUNK_END = 2
PARENT = 4
ROOT = 8
KEYED_HASH = 16
DERIVE_KEY_CONTEXT = 32
DERIVE_KEY_MATERIAL = 64

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
      0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)

PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)

# The columns, then the diagonals, of the 4 by 4 state.
QUARTERS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def spread(value, lanes):
    """The integer that holds value in each lane."""
    return int.from_bytes(struct.pack("<Q", value) * lanes, "little")


def gather(words):
    """The integer whose lanes are these words."""
    return int.from_bytes(struct.pack("<%dQ" % len(words), *words), "little")


def scatter(lanes_of_cv, lanes):
    """The chaining value of each lane, as tuples of eight words."""
    columns = [struct.unpack("<%dQ" % lanes, x.to_bytes(8 * lanes, "little"))
               for x in lanes_of_cv]
    return list(zip(*columns))


def compress(cv, block, counter, length, flags, lanes):
    """The first eight words of the compression function, in every lane."""
    mask = spread(0xFFFFFFFF, lanes)
    v = list(cv)
    v += [spread(x, lanes) for x in IV[:4]]
    v += [counter, 0, spread(length, lanes), spread(flags, lanes)]
    m = list(block)
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(QUARTERS):
            va, vb, vc, vd = v[a], v[b], v[c], v[d]
            va = va + vb + m[2 * i] & mask
            vd ^= va
            vd = (vd >> 16 | vd << 16) & mask
            vc = vc + vd & mask
            vb ^= vc
            vb = (vb >> 12 | vb << 20) & mask
            va = va + vb + m[2 * i + 1] & mask
            vd ^= va
            vd = (vd >> 8 | vd << 24) & mask
            vc = vc + vd & mask
            vb ^= vc
            vb = (vb >> 7 | vb << 25) & mask
            v[a], v[b], v[c], v[d] = va, vb, vc, vd
        m = [m[p] for p in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def whole_chunks(data, lanes, key, flags):
    """Chaining values of the first so many chunks, which are all full."""
    words = struct.unpack_from("<%dI" % (lanes * CHUNK // 4), data)
    cv = [spread(x, lanes) for x in key]
    counter = gather(range(lanes))
    for b in range(16):
        block = [gather(words[b * 16 + w::CHUNK // 4]) for w in range(16)]
        ends = (CHUNK_START if b == 0 else 0) | (CHUNK_END if b == 15 else 0)
        cv = compress(cv, block, counter, BLOCK, flags | ends, lanes)
    return scatter(cv, lanes)


def last_chunk(data, number, key, flags):
    """Chaining value of the chunk that may be shorter, or the only one."""
    blocks = [data[i:i + BLOCK] for i in range(0, len(data), BLOCK)] or [b""]
    root = ROOT if number == 0 else 0
    cv = key
    for b, block in enumerate(blocks):
        ends = CHUNK_START if b == 0 else 0
        if b == len(blocks) - 1:
            ends |= CHUNK_END | root
        words = struct.unpack("<16I", block.ljust(BLOCK, b"\0"))
        cv = compress(cv, words, number, len(block), flags | ends, 1)
    return tuple(cv)


def parents(cvs, key, flags):
    """One level of the tree: pairs become one, an odd one goes up as it is."""
    lanes = len(cvs) // 2
    root = ROOT if len(cvs) == 2 else 0
    block = [gather([cv[i] for cv in cvs[half:2 * lanes:2]])
             for half in (0, 1) for i in range(8)]
    cv = compress([spread(x, lanes) for x in key], block, 0, BLOCK,
                  flags | PARENT | root, lanes)
    return scatter(cv, lanes) + cvs[2 * lanes:]


def tree(data, key, flags):
    full = max(len(data) - 1, 0) // CHUNK
    cvs = whole_chunks(data, full, key, flags) if full else []
    cvs.append(last_chunk(data[full * CHUNK:], full, key, flags))
    while len(cvs) > 1:
        cvs = parents(cvs, key, flags)
    return struct.pack("<8I", *cvs[0])


def blake3(data):
    return tree(data, IV, 0)


def keyed(key, data):
    return tree(data, struct.unpack("<8I", key), KEYED_HASH)


def derive_key(context, material):
    key = tree(context.encode(), IV, DERIVE_KEY_CONTEXT)
    return tree(material, struct.unpack("<8I", key), DERIVE_KEY_MATERIAL)
