# SPDX-License-Identifier: Apache-2.0
"""The hours part of bench/moosefs: what the image of each hour adds to a
repository when it is followed, and when it is stored as it comes.

The master's clock stands in a file (libfaketime), so that an hour ends when we
say so and the master goes on: the order of what is in its images stays.
"""
import glob
import json
import os
import shutil
import struct
import subprocess
import time

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(os.path.dirname(HERE), 'tests', 'lab')
FILES = int(os.environ.get('BENCH_FILES', '100000'))
# Changed in each, per million.
HOURS = [int(n) for n in os.environ.get(
    'BENCH_HOURS', '1000 1000 10000 10000 50000 50000').split()]
AHEAD = 3  # seconds before the end of an hour


class Clock:
    """Of a master that was started with its environment."""

    def __init__(self, path):
        self.path, self.hour = path, 0
        self.before_end(1800)

    def before_end(self, seconds):
        now = int(time.time())
        at = (now // 3600 + 2 + self.hour) * 3600 - seconds
        with open(self.path + '.new', 'w', encoding='ascii') as f:
            f.write('+%d\n' % (at - now))
        os.rename(self.path + '.new', self.path)

    def env(self):
        lib = glob.glob('/usr/lib/*/faketime/libfaketime.so.1')
        if not lib:
            raise measure.Failed('libfaketime is not installed')
        return dict(os.environ, LD_PRELOAD=lib[0],
                    FAKETIME_TIMESTAMP_FILE=self.path,
                    FAKETIME_CACHE_DURATION='1',
                    FAKETIME_DONT_FAKE_MONOTONIC='1')


class Hours:
    def __init__(self, bench, port):
        self.bench, self.port = bench, port
        self.top = os.path.join(bench.work, 'hours')
        self.master = os.path.join(self.top, 'mfs')
        self.saved = os.path.join(self.master, 'data', 'metadata.mfs.back')
        self.whole = os.path.join(self.top, 'whole')
        self.ops = os.path.join(self.top, 'mfs_hours')
        self.followed = bench.new_repo('hours/followed')
        self.streamed = bench.new_repo('hours/streamed')
        self.follower = None
        os.makedirs(self.master)
        os.mkdir(self.whole)
        subprocess.run(['cc', '-O2', '-o', self.ops,
                        os.path.join(HERE, 'mfs_hours.c'), '-lmfsio'],
                       check=True)
        self.clock = Clock(os.path.join(self.master, 'clock'))
        subprocess.run([os.path.join(LAB, 'mfs-up'), self.master, str(port)],
                       check=True, env=self.clock.env())

    def end(self):
        if self.follower is not None:
            self.follower.terminate()
            self.follower.wait()
        subprocess.run([os.path.join(LAB, 'mfs-down'), self.master],
                       check=False)

    def change(self, *what):
        subprocess.run([self.ops, '127.0.0.1', str(self.port + 2), *what],
                       check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def version(self):
        with open(self.saved, 'rb') as f:
            head = f.read(16)
        return struct.unpack('>8xQ', head)[0] if len(head) == 16 else 1

    def end_hour(self):
        """A master that saw the clock leap over the end saves at the next."""
        before = self.version()
        for _ in range(5):
            self.clock.hour += 1
            self.clock.before_end(AHEAD)
            for _ in range(100):
                try:
                    if self.version() != before:
                        return
                except FileNotFoundError:
                    pass  # between two renames
                time.sleep(0.1)
        raise measure.Failed('the master does not save an image')

    def coffer(self, *argv):
        return subprocess.run(
            [self.bench.coffer, '-r', self.followed, '--cache-dir',
             self.followed + '.cache', *argv], env=self.bench.env, check=True,
            stdout=subprocess.PIPE).stdout

    def snapshots(self):
        rows = [json.loads(row) for row in
                self.coffer('snapshots', '--json').splitlines()]
        return [row for row in rows if row.get('type') == 'snapshot']

    def record(self):
        return json.loads(self.coffer('cat', 'latest:/moosefs.json'))

    def until_sealed(self):
        end = time.monotonic() + 120
        while True:
            if self.snapshots() and \
                    self.record()['image_version'] == self.version():
                return
            if time.monotonic() > end:
                raise measure.Failed('the image is not sealed')
            time.sleep(0.2)

    def follow(self):
        with open(self.bench.log, 'ab') as log:
            self.follower = subprocess.Popen(
                [self.bench.coffer, '-r', self.followed, '--cache-dir',
                 self.followed + '.cache', 'follow', '-o', 'journal=' +
                 os.path.join(self.top, 'journal'), '-o', 'image-delay=2',
                 '--seal-every', '1s', 'moosefs:127.0.0.1:%d' % self.port],
                env=self.bench.env, stdout=log, stderr=log)

    def stream(self):
        """The same image, as it comes."""
        shutil.copy(self.saved, os.path.join(self.whole, 'metadata.mfs.back'))
        return self.bench.stored(self.streamed, self.whole)

    @staticmethod
    def seconds(snap):
        """How long its session was open."""
        begin, end = (float(snap[k][17:-1]) for k in ('time', 'end'))
        return (end - begin) % 60

    def cost(self, snaps):
        """Bytes, and seconds of the longest: the image is in that one."""
        return (sum(s['bytes_stored'] for s in snaps),
                max(self.seconds(s) for s in snaps))

    def hour(self, changed):
        """The cost of the seals from the end of an hour to its image."""
        self.change('change', str(FILES), str(changed), str(self.clock.hour))
        time.sleep(3)  # what was changed is sealed by itself
        before = {snap['id'] for snap in self.snapshots()}
        self.end_hour()
        self.until_sealed()
        return self.cost([s for s in self.snapshots()
                          if s['id'] not in before])

    def row(self, name, stored, sec):
        plain, (whole, cost) = os.path.getsize(self.saved), self.stream()
        print('%-30s%9.2f%10.1f%7.2f%10.1f%7.2f%8.0f' % (
            name, plain / 1e6, stored / 1e3, sec, whole / 1e3, cost.wall,
            self.bench.peak(self.follower.pid) / 1e6), flush=True)

    def run(self):
        self.change('make', str(FILES))
        self.end_hour()
        self.follow()
        self.until_sealed()
        stored, sec = self.cost(self.snapshots())
        print('\n%-30s%9s%10s%7s%10s%7s%8s' % (
            'images of %d files' % FILES, 'plain MB', 'stored KB', 's',
            'as stream', 's', 'MB RSS'))
        self.row('the first, as it comes', stored, sec)
        for changed in HOURS:
            stored, sec = self.hour(changed)
            self.row('an hour, %.1f %% changed' % (changed / 1e4), stored,
                     sec)
        with open(self.saved, 'rb') as f:
            want = f.read()
        if self.coffer('cat', 'latest:/%s/metadata.mfs' %
                       self.record()['generation']) != want:
            raise measure.Failed('the image is another one')
