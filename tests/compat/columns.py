# SPDX-License-Identifier: Apache-2.0
"""Section 5 of docs/format.md, "Columns": text that was turned by lines.

It is written to be read beside that page, and refuses what the page does not
allow.
"""
import array
import collections
import sys

from cursor import Cursor, demand

NUMBERS, TEXTS = 0, 1
COLUMNS_MAX = SHAPES_MAX = 4096
PLACES_MAX = 64
LITERAL_MAX = 1024
WIDTH_MAX = 8
MASK64 = 0xFFFFFFFFFFFFFFFF

# argument: guess of a column of numbers, length of the text of one of texts.
Column = collections.namedtuple("Column", "kind width argument")
# places: (literal, number of a column); last: the literal behind them.
Shape = collections.namedtuple("Shape", "places last")


def read_column(c):
    column = Column(c.u8(), c.u8(), c.varint())
    demand(column.kind in (NUMBERS, TEXTS), c.what + ": kind of a column")
    demand(column.width <= WIDTH_MAX, c.what + ": width of a column")
    return column


def read_columns(c):
    count = c.varint()
    demand(1 <= count <= COLUMNS_MAX, c.what + ": number of columns")
    columns = [read_column(c) for _ in range(count)]
    for column in columns:
        if column.kind == NUMBERS and column.argument:
            demand(column.argument <= count, c.what + ": guess")
            demand(columns[column.argument - 1].kind == NUMBERS,
                   c.what + ": guess from texts")
    return columns


def read_literal(c):
    literal = c.bytes()
    demand(len(literal) <= LITERAL_MAX, c.what + ": length of a literal")
    return literal


def read_shape(c, columns):
    count = c.varint()
    demand(count <= PLACES_MAX, c.what + ": places of a shape")
    places = [(read_literal(c), c.varint()) for _ in range(count)]
    for _, column in places:
        demand(column < len(columns), c.what + ": column of a place")
    return Shape(places, read_literal(c))


def read_shapes(c, columns):
    count = c.varint()
    demand(count <= SHAPES_MAX, c.what + ": number of shapes")
    return [read_shape(c, columns) for _ in range(count)]


def read_values(c, count, width):
    """The planes of a column as its values."""
    whole = bytearray(8 * count)
    for k in range(width):
        whole[k::8] = c.take(count)
    values = array.array("Q", bytes(whole))
    if sys.byteorder == "big":
        values.byteswap()
    return values


class Numbers:
    def __init__(self, c, columns, at, count):
        self.guess = columns[at].argument
        self.values = iter(read_values(c, count, columns[at].width))
        self.newest = 0

    def next(self, columns, _):
        value = next(self.values)
        if self.guess:
            last = columns[self.guess - 1].newest
            value = last + (value >> 1 ^ -(value & 1)) & MASK64
        self.newest = value
        return b"%d" % value

    def end(self):
        pass


class Texts:
    def __init__(self, c, columns, at, count):
        self.values = iter(read_values(c, count, columns[at].width))
        text = c.take(columns[at].argument)
        demand(not text or text.endswith(b"\n"), c.what + ": end of a text")
        self.what = c.what
        self.unread = iter(text.split(b"\n")[:-1])

    def next(self, _, known):
        value = next(self.values)
        if value:
            demand(value <= len(known), self.what + ": a text before all")
            return known[-value]
        text = next(self.unread, None)
        demand(text is not None, self.what + ": too few texts")
        known.append(text)
        return text

    def end(self):
        demand(next(self.unread, None) is None, self.what + ": unused texts")


def join(lines, shapes, columns, plain, what):
    """The lines, put together from the values of their places."""
    known = []
    out = []
    length = len(lines) - 1
    for number in lines:
        line = []
        for literal, column in shapes[number].places:
            line.append(literal)
            line.append(columns[column].next(columns, known))
        line.append(shapes[number].last)
        out.append(b"".join(line))
        length += len(out[-1])
        demand(length <= plain, what + ": too long")
    return b"\n".join(out)


def decode(data, plain, what):
    """The plain bytes, so many, of E, which is not longer."""
    c = Cursor(data, what)
    count, width = c.varint(), c.u8()
    demand(1 <= count <= plain + 1, what + ": number of lines")
    demand(width <= WIDTH_MAX, what + ": width of the lines' column")
    heads = read_columns(c)
    shapes = read_shapes(c, heads)
    lines = read_values(c, count, width)
    demand(max(lines) < len(shapes), what + ": shape of a line")

    counts = [0] * len(heads)
    for number, uses in collections.Counter(lines).items():
        for _, column in shapes[number].places:
            counts[column] += uses
    demand(sum(counts) <= plain + 1, what + ": number of values")
    columns = [(Numbers if head.kind == NUMBERS else Texts)(c, heads, at, n)
               for at, (head, n) in enumerate(zip(heads, counts))]
    c.end()
    text = join(lines, shapes, columns, plain, what)
    for column in columns:
        column.end()
    demand(len(text) == plain, what + ": length")
    return text
