#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random lives of RBD images, backed up again and again.

    rbd_model.py CEPH_CONF COFFER SEED ROUNDS

Between two backups images are written to, discarded, resized, snapshotted,
rolled back, flattened, and lose and regain their object maps.  What each
backup has to hold is read through librbd at the snapshot that it left.  In the
end some snapshots are forgotten and pruned, and all others are restored and
compared.  COFFER_REPOSITORY names a repository; the pools rbd and backups
are there, and rbd has no images.
"""
import hashlib
import json
import os
import random
import re
import subprocess
import sys

import rados
import rbd

MIB = 1 << 20
OBJECTS = rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF
ALL = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK | OBJECTS | \
    rbd.RBD_FEATURE_DEEP_FLATTEN
OURS = re.compile(r"coffer\.(one|own)\.\d{8}T\d{6}\.\d{3}Z")
SIZE_MAX = 24 * MIB


class World:
    def __init__(self, conf, coffer, seed):
        self.conf, self.coffer, self.rng = conf, coffer, random.Random(seed)
        self.cluster = rados.Rados(conffile=conf,
                                   conf={"rbd_default_clone_format": "2"})
        self.cluster.connect()
        self.io = self.cluster.open_ioctx("rbd")
        self.parents = self.cluster.open_ioctx("backups")
        self.expected = {}  # snapshot: {image: (size, sha256)}
        self.names = []
        self.made = 0

    def open(self, name, **how):
        return rbd.Image(self.io, name, **how)

    # ---- images ----

    def data(self, length):
        kind = self.rng.randrange(3)
        if kind == 0:
            return bytes(length)
        if kind == 1:
            return bytes([self.rng.randrange(1, 256)]) * length
        return self.rng.randbytes(length)

    def make_parent(self):
        rbd.RBD().create(self.parents, "model-parent", 16 * MIB, order=20,
                         old_format=False, features=ALL)
        with rbd.Image(self.parents, "model-parent") as img:
            img.write(self.rng.randbytes(9 * MIB), MIB)
            img.create_snap("p")

    def make_plain(self):
        name = f"plain{self.made}"
        self.made += 1
        order = self.rng.choice([16, 20, 22])
        striped = self.rng.random() < 0.3
        features = self.rng.choice([ALL, ALL, rbd.RBD_FEATURE_LAYERING])
        rbd.RBD().create(
            self.io, name, self.size(), order=order, old_format=False,
            features=features | (rbd.RBD_FEATURE_STRIPINGV2 if striped else 0),
            stripe_unit=1 << (order - 2) if striped else 0,
            stripe_count=3 if striped else 0)
        self.names.append(name)

    def make_clone(self):
        name = f"clone{self.made}"
        self.made += 1
        rbd.RBD().clone(self.parents, "model-parent", "p", self.io, name,
                        features=ALL, order=20)
        self.names.append(name)

    def replace(self):
        """Another image takes the name."""
        name = self.rng.choice(self.names)
        with self.open(name) as img:
            for snap in list(img.list_snaps()):
                img.remove_snap(snap["name"])
        rbd.RBD().remove(self.io, name)
        rbd.RBD().create(self.io, name, self.size(), order=20,
                         old_format=False, features=ALL)

    # ---- what happens to one ----

    def size(self):
        return self.rng.randrange(1, SIZE_MAX // 4096) * 4096

    def place(self, img, most):
        size = img.size()
        off = self.rng.randrange(0, size)
        length = self.rng.randrange(1, most + 1)
        if self.rng.random() < 0.7:
            off -= off % 4096
            length += -length % 4096
        return off, min(length, size - off)

    def write(self, img):
        off, length = self.place(img, 3 * MIB)
        img.write(self.data(length), off)

    def scatter(self, img):
        for _ in range(self.rng.randrange(1, 60)):
            off, length = self.place(img, 4096)
            img.write(self.data(length), off)

    def discard(self, img):
        off, length = self.place(img, 6 * MIB)
        if self.rng.random() < 0.5:
            off -= off % MIB
            length = min(img.size() - off, length + MIB)
        img.discard(off, length)

    def zero(self, img):
        img.write_zeroes(*self.place(img, 3 * MIB))

    def resize(self, img):
        img.resize(self.size())

    def shrink_and_grow(self, img):
        size = img.size()
        img.resize(max(4096, self.rng.randrange(0, size) // 4096 * 4096))
        img.resize(size)

    def snap(self, img):
        img.create_snap(f"foreign{self.made}")
        self.made += 1

    def unsnap(self, img):
        snaps = [s["name"] for s in img.list_snaps()
                 if not OURS.fullmatch(s["name"])]
        if snaps:
            img.remove_snap(self.rng.choice(snaps))

    def rollback(self, img):
        snaps = [s["name"] for s in img.list_snaps()]
        if snaps:
            img.rollback_to_snap(self.rng.choice(snaps))

    def lose_base(self, img):
        for snap in list(img.list_snaps()):
            if OURS.fullmatch(snap["name"]):
                img.remove_snap(snap["name"])

    def toggle_map(self, img):
        if not img.features() & rbd.RBD_FEATURE_EXCLUSIVE_LOCK:
            return
        img.update_features(OBJECTS, not img.features() & OBJECTS)

    def rebuild_map(self, img):
        if img.features() & OBJECTS:
            img.rebuild_object_map()

    def flatten(self, img):
        try:
            img.parent_info()
        except rbd.ImageNotFound:
            return
        img.flatten()

    def happen(self):
        often = [self.write, self.scatter, self.discard, self.zero]
        rare = [self.resize, self.shrink_and_grow, self.snap, self.unsnap,
                self.rollback, self.rollback, self.toggle_map,
                self.rebuild_map]
        for _ in range(self.rng.randrange(1, 8)):
            kind = often if self.rng.random() < 0.6 else rare
            if self.rng.random() < 0.04:
                kind = [self.flatten, self.lose_base]
            with self.open(self.rng.choice(self.names)) as img:
                self.rng.choice(kind)(img)
        if self.rng.random() < 0.08:
            self.replace()
        if self.rng.random() < 0.1:
            self.rng.choice([self.make_plain, self.make_clone])()

    # ---- backups ----

    def run(self, *words):
        done = subprocess.run([self.coffer, *words], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode != 0:
            sys.exit("coffer %s: %d %s" % (
                " ".join(words), done.returncode,
                done.stderr.decode(errors="replace")))
        return done.stdout.decode()

    def held(self, img, own):
        """What a backup of the opened snapshot has to hold."""
        size = img.size()
        data = bytearray(img.read(0, size) if size else b"")
        if own:
            # The object map is asked, which is all that librbd tells of it.
            mine = bytearray(size)
            img.diff_iterate(
                0, size, None,
                lambda off, length, exists: mine.__setitem__(
                    slice(off, off + length), b"\1" * length)
                if exists else None,
                include_parent=False, whole_object=True)
            data = bytes(b if m else 0 for b, m in zip(data, mine))
        return size, hashlib.sha256(data).hexdigest()

    def is_own(self, img):
        """Whether parent=no leaves out the parent's data."""
        try:
            img.parent_info()
        except rbd.ImageNotFound:
            return False
        return bool(img.features() & OBJECTS) and \
            img.flags() & 3 == 0 and img.stripe_count() == 1

    def foreign(self):
        found = {}
        for name in self.names:
            with self.open(name, read_only=True) as img:
                found[name] = [s["id"] for s in img.list_snaps()
                               if not OURS.fullmatch(s["name"])]
        return found

    def backup(self):
        job = "own" if self.rng.random() < 0.4 else "one"
        before = self.foreign()
        text = self.run("backup", "--json", "--host", job, "-o",
                        "conf=" + self.conf, "-o", "job=" + job, "-o",
                        "parent=" + ("no" if job == "own" else "yes"), "-o",
                        f"depth={self.rng.randrange(1, 20)}", "rbd:rbd/*")
        summary = [json.loads(line) for line in text.splitlines()
                   if '"summary"' in line][0]
        assert summary["errors"] == 0, text
        assert self.foreign() == before, "a foreign snapshot is gone"
        holds = self.expected[summary["id"]] = {}
        for name in self.names:
            with self.open(name, read_only=True) as img:
                left = [s["name"] for s in img.list_snaps()
                        if s["name"].startswith(f"coffer.{job}.")]
            assert len(left) == 1, (name, left)
            with self.open(name, snapshot=left[0], read_only=True) as img:
                holds[name] = self.held(img, job == "own" and self.is_own(img))

    def forget_some(self):
        gone = [s for s in self.expected if self.rng.random() < 0.5]
        if gone:
            # Of a group they may be all.
            self.run("forget", "-q", "--force", *gone)
            self.run("prune", "-q", "--grace", "0")
        for snapshot in gone:
            del self.expected[snapshot]

    def compare(self, snapshot, top):
        self.run("restore", "-q", snapshot, "--target", top)
        where = os.path.join(top, "images", "rbd")
        for name, (size, digest) in self.expected[snapshot].items():
            with open(os.path.join(where, name), "rb") as image:
                data = image.read()
            assert len(data) == size, (snapshot, name, len(data), size)
            assert hashlib.sha256(data).hexdigest() == digest, \
                (snapshot, name)
            with open(os.path.join(where, name + "@rbd.json"),
                      encoding="utf-8") as record:
                assert json.load(record)["size"] == size
        subprocess.run(["rm", "-rf", top], check=True)


def main():
    conf, coffer, seed, rounds = sys.argv[1:]
    print("seed", seed, flush=True)
    world = World(conf, coffer, int(seed))
    world.make_parent()
    for make in (world.make_plain, world.make_plain, world.make_clone,
                 world.make_clone):
        make()
    for i in range(int(rounds)):
        world.happen()
        print("round", i, flush=True)
        world.backup()
    world.forget_some()
    for snapshot in world.expected:
        world.compare(snapshot, os.environ["COFFER_REPOSITORY"] + ".out")
    print(len(world.expected), "snapshots are as they have to be")


if __name__ == "__main__":
    main()
