#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Read a coffer repository with nothing but docs/format.md in hand.

usage: decoder.py REPOSITORY PASSPHRASE [list]
       decoder.py REPOSITORY PASSPHRASE restore SNAPSHOT TARGET
       decoder.py REPOSITORY PASSPHRASE verify

SNAPSHOT is the first digits of its id, or "latest".  It needs
python3-zstandard and python3-cryptography.  It is made to be read beside
that page, and to prove it: a pack is read whole, and each tag, id, name,
limit and order that the page states is checked.  repository.py reads what
sections 1 to 7 describe, with cursor.py (section 1) and columns.py (a codec
of section 5), tree.py section 8; this file writes files.
"""
import os
import stat
import sys

import tree
from repository import DATA, Damage, Repository, demand

NODE_TYPES = {tree.CHARACTER: stat.S_IFCHR, tree.BLOCK: stat.S_IFBLK,
              tree.FIFO: stat.S_IFIFO, tree.SOCKET: stat.S_IFSOCK}


class Restorer:
    def __init__(self, repository, target):
        self.repository = repository
        self.target = os.path.abspath(os.fsencode(target))
        self.made = {b""}
        self.directories = []
        self.problems = []

    def place(self, path):
        """Where an entry goes, below directories that were made here: so a
        symbolic link of the snapshot never leads out of the target."""
        parts = path.split(b"/")
        for i in range(1, len(parts)):
            parent = b"/".join(parts[:i])
            if parent not in self.made:
                os.mkdir(os.path.join(self.target, parent))
                self.made.add(parent)
        return os.path.join(self.target, path) if path else self.target

    def attempt(self, what, function, *arguments, **options):
        try:
            function(*arguments, **options)
        except OSError as error:
            self.problems.append("%s: %s: %s" % (what, function.__name__,
                                                 error.strerror))

    def entry(self, entry):
        where = self.place(entry.path)
        if entry.content and entry.content[0] == tree.LINK:
            os.link(os.path.join(self.target, entry.content[1]), where,
                    follow_symlinks=False)
            return
        if entry.type == tree.DIRECTORY:
            if entry.path:
                os.mkdir(where, 0o700)
            self.made.add(entry.path)
            self.directories.append((where, entry))
            return
        if entry.type in tree.WITH_CONTENT:
            if not self.file(where, entry):
                return
        elif entry.type == tree.SYMLINK:
            demand(entry.target is not None, entry.what + ": no target")
            os.symlink(entry.target, where)
        else:
            device = os.makedev(*entry.device) if entry.device else 0
            self.attempt(entry.what, os.mknod, where,
                         NODE_TYPES[entry.type] | 0o600, device)
            if not os.path.lexists(where):
                return
        self.attributes(where, entry)

    def file(self, where, entry):
        if entry.content and entry.content[0] == tree.INLINE:
            slices, whole = None, entry.content[1]
        else:
            slices = tree.content_slices(self.repository, entry)
            if slices is None:
                self.problems.append(entry.what + ": no content is stored")
                return False
        with open(where, "xb") as file:
            if slices is None:
                file.write(whole)
            else:
                self.write(file, slices)
            demand(file.tell() == entry.size, entry.what + ": size")
            file.truncate()
        return True

    def write(self, file, slices):
        for s in slices:
            if s.chunk is None:
                file.seek(s.length, os.SEEK_CUR)
            else:
                for piece in tree.pieces(self.repository, [s]):
                    file.write(piece)

    def attributes(self, where, entry):
        if os.geteuid() == 0:
            self.attempt(entry.what, os.chown, where, entry.uid, entry.gid,
                         follow_symlinks=False)
        for name, value in entry.xattrs.items():
            self.attempt(entry.what, os.setxattr, where, name, value,
                         follow_symlinks=False)
        if entry.type != tree.SYMLINK:
            os.chmod(where, entry.mode)
        os.utime(where, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def run(self, snapshot):
        os.makedirs(self.target, exist_ok=True)
        demand(not os.listdir(self.target), "the target is not empty")
        for entry in tree.entries(self.repository, snapshot):
            self.entry(entry)
        # Backwards: what is inside must not touch the times of a directory.
        for where, entry in reversed(self.directories):
            self.attributes(where, entry)


def verify_content(repository, entry):
    """Whether the slices of an entry lie within chunks that are there."""
    if entry.content and entry.content[0] in (tree.INLINE, tree.LINK):
        return
    for s in tree.content_slices(repository, entry) or ():
        if s.chunk is not None:
            place = repository.places.get((DATA, s.chunk))
            demand(place and s.offset + s.length <= place[1].plain,
                   entry.what + ": a slice of what is not there")


def verify(repository):
    """Read everything that there is; what is wrong raises Damage."""
    packs = repository.names("packs")
    demand({p.split("/")[2] for p in packs} >= repository.pack_lists.keys(),
           "a pack of which the index tells is missing")
    records = 0
    for name in packs:
        prefix, digest = name.split("/")[1:]
        demand(prefix == digest[:2], name + ": lies in the wrong place")
        pack = repository.pack(digest)
        for r in pack.records:
            pack.open(r)
        records += len(pack.records)
    snapshots = repository.snapshots()
    entries = 0
    for snapshot in snapshots:
        for entry in tree.entries(repository, snapshot):
            verify_content(repository, entry)
            entries += 1
    return ("%d packs, %d records, %d sessions, %d snapshots, %d entries"
            % (len(packs), records, len(repository.sessions()),
               len(snapshots), entries))


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__)
    repository = Repository(arguments[0], os.fsencode(arguments[1]))
    command = arguments[2:] or ["list"]
    if command == ["list"]:
        for snapshot in repository.snapshots():
            print(snapshot)
    elif command == ["verify"]:
        print(verify(repository))
    elif command[0] == "restore" and len(command) == 3:
        restorer = Restorer(repository, command[2])
        restorer.run(repository.snapshot(command[1]))
        for problem in restorer.problems:
            print(problem, file=sys.stderr)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Damage, OSError) as error:
        sys.exit("decoder: %s" % error)
