# SPDX-License-Identifier: Apache-2.0
"""Columns as another program may write them, from docs/format.md alone.

A Turner is a model of E, each part of which can be changed before it is
encoded; draw() makes one, and the text that it tells, of random lines.  It
uses what the program's own writer has no reason to: values wider than need
be, guesses from any column, shapes and columns without lines.
"""
import zstandard

from mover import varint

NUMBERS, TEXTS = 0, 1
MASK64 = 0xFFFFFFFFFFFFFFFF


class Column:
    """argument: guess of a column of numbers; of one of texts it is the
    length of its text where it is None."""

    def __init__(self, kind, width=0, argument=None):
        self.kind = kind
        self.width = width
        self.argument = argument
        self.values = []
        self.text = b""
        self.newest = 0

    def head(self):
        argument = self.argument
        if argument is None:
            argument = len(self.text) if self.kind == TEXTS else 0
        return bytes([self.kind, self.width]) + varint(argument)

    def body(self):
        return planes(self.values, self.width) + self.text


def planes(values, width):
    return b"".join(bytes(v >> 8 * k & 255 for v in values)
                    for k in range(width))


def text(data):
    return varint(len(data)) + data


def distance(number, last):
    """What is told of a number where the last one is known."""
    signed = (number - last) & MASK64
    if signed >> 63:
        signed -= 1 << 64
    return (signed << 1 ^ signed >> 63) & MASK64


class Turner:
    def __init__(self, width=1):
        self.width = width
        self.lines = []
        self.columns = []
        # Of each: [(literal, column)], the literal behind them.
        self.shapes = []
        self.known = []
        self.tail = b""

    def line(self, shape, values):
        """Add a line of this shape; values are numbers and texts, of texts
        in a tuple how long ago they were.  Returns what it says."""
        out = b""
        places, last = self.shapes[shape]
        for (literal, number), value in zip(places, values):
            out += literal + self.value(self.columns[number], value)
        self.lines.append(shape)
        return out + last

    def value(self, column, value):
        if column.kind == NUMBERS:
            last = 0
            if column.argument:
                last = self.columns[column.argument - 1].newest
            column.newest = value
            column.values.append(distance(value, last) if column.argument
                                 else value)
            return b"%d" % value
        if isinstance(value, tuple):
            column.values.append(value[0])
            return self.known[-value[0]]
        column.values.append(0)
        column.text += value + b"\n"
        self.known.append(value)
        return value

    def head(self):
        out = varint(len(self.lines)) + bytes([self.width])
        out += varint(len(self.columns))
        out += b"".join(column.head() for column in self.columns)
        out += varint(len(self.shapes))
        for places, last in self.shapes:
            out += varint(len(places))
            for literal, column in places:
                out += text(literal) + varint(column)
            out += text(last)
        return out

    def encode(self):
        return (self.head() + planes(self.lines, self.width)
                + b"".join(column.body() for column in self.columns)
                + self.tail)


def stored(data):
    """C of section 5, of E."""
    return (len(data).to_bytes(4, "little")
            + zstandard.ZstdCompressor(level=3).compress(data))


def draw_number(prng, newest):
    return prng.choice((
        newest, max(newest - prng.randrange(300), 0),
        newest + prng.randrange(1 << 20) & MASK64, prng.randrange(10),
        prng.getrandbits(64), MASK64, 0))


def draw_text(prng, known):
    if known and prng.randrange(2):
        return (prng.choice((1, len(known), prng.randint(1, len(known)))),)
    return bytes(prng.choice(b"\0\1abc019.,/ \xe9\xff")
                 for _ in range(prng.choice((0, 1, 5, 300))))


def draw_value(prng, t, column):
    if column.kind == NUMBERS:
        return draw_number(prng, column.newest)
    return draw_text(prng, t.known)


def draw_model(prng):
    t = Turner()
    kinds = [prng.choice((NUMBERS, TEXTS))
             for _ in range(prng.choice((1, 2, 12, 300)))]
    numbers = [i for i, kind in enumerate(kinds) if kind == NUMBERS]
    for kind in kinds:
        guess = kind == NUMBERS and prng.choice(
            (0, 1 + prng.choice(numbers))) or None
        t.columns.append(Column(kind, argument=guess))
    for _ in range(prng.choice((1, 3, 40))):
        places = [(prng.randbytes(prng.choice((0, 1, 20))).replace(b"\n", b""),
                   prng.randrange(len(kinds)))
                  for _ in range(prng.choice((0, 1, 9, 64)))]
        t.shapes.append((places, b"x" * prng.choice((0, 100, 1024))))
    return t


def draw_width(prng, values):
    least = (max(values, default=0).bit_length() + 7) // 8
    return prng.choice((least, prng.randint(least, 8)))


def draw_lines(prng):
    t = draw_model(prng)
    lines = []
    for _ in range(prng.choice((1, 2, 50, 150))):
        shape = prng.randrange(len(t.shapes))
        values = (draw_value(prng, t, t.columns[number])
                  for _, number in t.shapes[shape][0])
        lines.append(t.line(shape, values))
    t.width = draw_width(prng, t.lines)
    for column in t.columns:
        column.width = draw_width(prng, column.values)
    return t, b"\n".join(lines)


def draw(prng):
    """A model of random lines, and what they are."""
    while True:
        t, plain = draw_lines(prng)
        data = t.encode()
        values = sum(len(column.values) for column in t.columns)
        if len(data) <= len(plain) and values <= len(plain) + 1 and \
                len(stored(data)) < len(plain):
            return t, plain
