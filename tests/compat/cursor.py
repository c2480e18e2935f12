# SPDX-License-Identifier: Apache-2.0
"""Section 1 of docs/format.md: how values are read from bytes."""


class Damage(Exception):
    """The repository does not say what the format demands."""


def demand(condition, what):
    if not condition:
        raise Damage(what)


class Cursor:
    """Takes values from the front of some bytes."""

    def __init__(self, data, what):
        self.data = data
        self.at = 0
        self.what = what

    def more(self):
        return self.at < len(self.data)

    def take(self, length):
        demand(length <= len(self.data) - self.at, self.what + ": cut short")
        self.at += length
        return self.data[self.at - length:self.at]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        demand(not self.more(), self.what + ": something follows its end")

    def number(self, length):
        return int.from_bytes(self.take(length), "little")

    def u8(self):
        return self.number(1)

    def u16(self):
        return self.number(2)

    def u32(self):
        return self.number(4)

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                demand(byte or shift == 0, self.what + ": a padded varint")
                demand(value < 1 << 64, self.what + ": a varint too large")
                return value
        raise Damage(self.what + ": a varint too long")

    def svarint(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def bytes(self):
        return self.take(self.varint())

    def time_ns(self):
        seconds = self.svarint()
        nanoseconds = self.varint()
        demand(nanoseconds < 10**9, self.what + ": nanoseconds")
        return seconds * 10**9 + nanoseconds

    def tlv(self):
        """The (tag, Cursor over the value) of a TLV list."""
        while self.more():
            tag = self.u8()
            yield tag, Cursor(self.bytes(), "%s, tag %d" % (self.what, tag))
