#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines like those of a MooseFS change log, and odd ones between them.

usage: changelog.py SEED LINES

What is written depends on nothing else; more lines begin with the same bytes.
It does not end with a line feed.
"""
import random
import sys

FIRST_ID = 123
FIRST_TIME = 1795255200
FIRST_INODE = 100


class Log:
    def __init__(self, seed):
        self.prng = random.Random(seed)
        self.id = FIRST_ID
        self.time = FIRST_TIME
        self.inode = FIRST_INODE
        self.chunk = 1 << 32
        self.names = [b"name-0000.txt"]
        # At the front only: where a writer looks at the middle of a chunk,
        # they may be why it takes it for no text.
        self.zeros = [b"\1\0\1 7", b"\0", b"\0\0 00"]

    def below(self, n):
        return self.prng.randrange(n)

    def recent(self):
        return self.inode - self.below(min(self.inode, 50))

    def create(self):
        self.inode += 1
        self.names.append(b"name-%04x.txt" % self.below(1 << 16))
        return b"CREATE(%d,%s,1,%d,18,%d,%d,0):%d" % (
            self.below(9), self.names[-1], self.prng.choice((420, 493)),
            1000 + self.below(3), 100, self.inode)

    def write(self):
        self.chunk += 1
        return b"WRITE(%d,%d,%d,0):%d" % (self.recent(), self.below(4),
                                          self.below(2), self.chunk)

    def length(self):
        return b"LENGTH(%d,%d,0)" % (self.recent(), self.below(1 << 30))

    def unlink(self):
        return b"UNLINK(%d,%s):%d" % (
            self.below(9), self.prng.choice(self.names[-99:]), self.recent())

    def times(self):
        return b"AMTIME(%d,%d,%d,%d)" % (
            self.recent(), self.time, self.time - self.below(9), self.time)

    def odd(self):
        if self.zeros:
            return self.zeros.pop()
        return self.prng.choice((
            b"", b"\r", b"\1", b"007 0 00 000",
            b"%019d:%020d:%021d" % (self.id, self.id, self.id),
            b"%d %d %d" % (10**19 - 1, 10**19, 10**20 - 1),
            b"%d %d %d" % (2**63, 2**64 - 1, 2**64),
            b"%d" % (10**20 + self.id), b"\xff\xfe%d\x80" % self.id,
            "zw\u00f6lf \u2615 %d".encode() % self.id,
            b"word" * (1 + self.below(700)), b"1," * (1 + self.below(150)),
            b" ".join(b"%d" % self.below(1 << 64) for _ in range(9)),
            b"%d: %d|CREATE(" % (self.id, self.time), b"-1 +2 -0 1e5 0x1f"))

    def line(self):
        if self.below(200) == 0:
            return self.odd()
        self.id += 1
        self.time += self.below(20) == 0
        change = self.prng.choices(
            (self.create, self.write, self.length, self.unlink, self.times),
            (4, 5, 2, 1, 3))[0]
        return b"%d: %d|%s" % (self.id, self.time, change())


def lines(seed, count):
    log = Log(seed)
    return b"\n".join(log.line() for _ in range(count))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.stdout.buffer.write(lines(int(sys.argv[1]), int(sys.argv[2])))
