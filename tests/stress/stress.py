#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""stress.py SECONDS: writers and a prune on one repository, and kill -9.

STRESS_SEC in the environment goes before SECONDS.

Four writers, each with a key of its own, back up trees that keep changing,
while forget and prune run in a loop; all of them are killed now and then.
Afterwards the newest snapshots of each writer are there, and every one that is
listed comes back byte for byte; every byte of the repository is right, and it
is about as large as a new one of the same snapshots.  The seed is printed; STRESS_SEED sets it.  The order of events is
the machine's, so a seed does not repeat a run exactly.
"""
import glob
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

COFFER = os.environ.get('COFFER', os.path.join(os.getcwd(), 'build/coffer'))
WRITERS, KEPT = 4, 3
FENCED = 'took too long and was fenced'  # twice, on a slow machine
SLACK = 3 << 20  # nodes, tables, padding: of small packs


class Failure(Exception):
    pass


def manifest(top):
    """What a tree holds: path to hash."""
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, 'rb') as f:
                found[os.path.relpath(path, top)] = hashlib.sha256(
                    f.read()).hexdigest()
    return found


class Repository:
    def __init__(self, work, name):
        self.path = os.path.join(work, name)
        self.cache = os.path.join(work, name + '-cache')

    def log(self, who):
        return '%s-%s.log' % (self.path, who)

    def last_line(self, who):
        with open(self.log(who), 'rb') as log:
            return log.read().splitlines()[-1].decode(errors='replace')

    def start(self, argv, who='admin', out=subprocess.DEVNULL):
        env = dict(os.environ, COFFER_REPOSITORY=self.path,
                   COFFER_PASSWORD='the ' + who,
                   COFFER_CACHE_DIR=os.path.join(self.cache, who))
        with open(self.log(who), 'ab') as log:
            log.write((' '.join(argv) + '\n').encode())
            log.flush()
            return subprocess.Popen([COFFER] + argv, env=env, stdout=out,
                                    stderr=log, stdin=subprocess.DEVNULL)

    def run(self, argv, who='admin', ok=(0,)):
        child = self.start(argv, who, subprocess.PIPE)
        said, _ = child.communicate()
        if child.returncode not in ok:
            raise Failure('%s: exit status %d' % (' '.join(argv),
                                                  child.returncode))
        return [json.loads(line) for line in said.splitlines()]

    def init(self):
        self.run(['init', '-q', '--kdf-memory', '8K', '--kdf-passes', '1',
                  '--pack-size', '1M'])

    def size(self):
        """Without what was half written when its writer was killed: who writes
        there next removes it."""
        return sum(os.path.getsize(os.path.join(folder, name))
                   for folder, _, names in os.walk(self.path)
                   for name in names if not name.startswith('.tmp-'))


class Actor(threading.Thread):
    """Runs one command after the other until the time is over."""

    def __init__(self, repo, seed, until):
        super().__init__()
        self.repo = repo
        self.rng = random.Random(seed)
        self.until = until
        self.failed = None
        self.runs = self.kills = 0

    def once(self):
        raise NotImplementedError

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.once()
        except (Failure, OSError, ValueError) as why:
            self.failed = '%s: %s' % (self.name, why)

    def command(self, argv, who, ok=(0,)):
        """What it said; None where it was killed, or fenced."""
        child = self.repo.start(argv, who, subprocess.PIPE)
        self.runs += 1
        if self.rng.random() < 0.3:
            timer = threading.Timer(self.rng.random() ** 3 * 1.5, child.kill)
            timer.start()
            said, _ = child.communicate()
            timer.cancel()
        else:
            said, _ = child.communicate()
        if child.returncode == -signal.SIGKILL:
            self.kills += 1
            return None
        if child.returncode not in ok:
            raise Failure('%s: exit status %d' % (' '.join(argv),
                                                  child.returncode))
        if child.returncode != 0:
            why = self.repo.last_line(who)
            if FENCED not in why:
                raise Failure('%s: %s' % (' '.join(argv), why))
            return None
        return [json.loads(line) for line in said.splitlines()]


class Writer(Actor):
    def __init__(self, repo, seed, until, work, number):
        super().__init__(repo, seed, until)
        self.name = 'writer%d' % number
        self.top = os.path.join(work, self.name)
        self.acknowledged = []  # (id, manifest)
        os.makedirs(self.top)
        for i in range(30):
            self.write(i)

    def write(self, i):
        """A file of its own, or one that all writers have."""
        path = os.path.join(self.top, 'd%d' % (i % 5), 'f%d' % i)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        size = int(10 ** (2 + self.rng.random() * 4))
        seed = self.rng.randrange(20) if self.rng.random() < 0.5 else None
        rng = random.Random(seed) if seed is not None else self.rng
        with open(path, 'wb') as f:
            f.write(rng.randbytes(size))

    def change(self):
        for _ in range(self.rng.randrange(4)):
            self.write(self.rng.randrange(40))
        if self.rng.random() < 0.2:
            folder = os.path.join(self.top, 'd%d' % self.rng.randrange(5))
            shutil.rmtree(folder, ignore_errors=True)

    def once(self):
        self.change()
        held = manifest(self.top)
        said = self.command(['backup', '--json', '--no-progress', '--host',
                             self.name, self.top], self.name, (0, 1))
        if said is not None:
            done = [s for s in said if s.get('type') == 'summary']
            self.acknowledged.append((done[-1]['id'], held))


class Pruner(Actor):
    name = 'pruner'

    def once(self):
        self.command(['forget', '--json', '--keep-last', str(KEPT)],
                     self.name)
        self.command(['prune', '--json', '--no-progress', '--grace', '3s',
                      '--wait', '1s', '--max-unused', '5%'], self.name)
        time.sleep(self.rng.random())


def expect_newest(writer, listed):
    """What was acknowledged and is not listed had to give way to newer ones,
    some of which were committed by commands that were killed afterwards."""
    theirs = [s for s, host in listed.items() if host == writer.name]
    for at, (snapshot, _) in enumerate(writer.acknowledged):
        if snapshot in listed:
            continue
        older = [s for s, _ in writer.acknowledged[:at] if s in listed]
        if len(theirs) < KEPT or older:
            raise Failure('%s of %s is not listed' % (snapshot, writer.name))


def verify(repo, writers, work):
    listed = {s['id']: s['host'] for s in repo.run(['snapshots', '--json'])
              if s.get('type') == 'snapshot'}
    known = {}
    for w in writers:
        known.update(dict(w.acknowledged))
        expect_newest(w, listed)
    for snapshot in listed:
        target = os.path.join(work, 'restored')
        repo.run(['restore', '--json', '--no-progress', snapshot, '--target',
                  target])
        if snapshot in known:
            tops = [w.top for w in writers
                    if os.path.isdir(target + w.top)]
            if len(tops) != 1 or manifest(
                    target + tops[0]) != known[snapshot]:
                raise Failure('%s came back as something else' % snapshot)
        shutil.rmtree(target)
    return listed


def fresh_size(repo, listed, work):
    """The size of a new repository of the same snapshots."""
    new = Repository(work, 'fresh')
    new.init()
    for snapshot in listed:
        target = os.path.join(work, 'again')
        repo.run(['restore', '--json', '--no-progress', snapshot, '--target',
                  target])
        new.run(['backup', '--json', '--no-progress', '--force', target])
        shutil.rmtree(target)
    return new.size()


def settle(repo):
    """Prune until there is nothing more to do."""
    repo.run(['forget', '--json', '--keep-last', str(KEPT)])
    for _ in range(6):
        repo.run(['prune', '--json', '--no-progress', '--grace', '0s',
                  '--max-unused', '0%'])


def stress(work, seconds, seed):
    repo = Repository(work, 'repo')
    repo.init()
    roles = [('writer%d' % i, 'writer') for i in range(WRITERS)]
    for who, role in roles + [('pruner', 'maintainer')]:
        secret = os.path.join(work, who + '.secret')
        with open(secret, 'w', encoding='utf-8') as f:
            f.write('the %s\n' % who)
        repo.run(['key', 'add', '--json', '--role', role, '--label', who,
                  '--kdf-memory', '8K', '--kdf-passes', '1',
                  '--new-password-file', secret])
    until = time.monotonic() + seconds
    writers = [Writer(repo, seed + i, until, work, i) for i in range(WRITERS)]
    actors = writers + [Pruner(repo, seed + 99, until)]
    for actor in actors:
        actor.start()
    for actor in actors:
        actor.join()
    for actor in actors:
        if actor.failed:
            raise Failure(actor.failed)
    settle(repo)
    listed = verify(repo, writers, work)
    repo.run(['check', '--json', '--no-progress', '--read-data'])
    size, new = repo.size(), fresh_size(repo, listed, work)
    print('%d backups acknowledged, %d commands killed, %d snapshots left, '
          '%d kB; a new one has %d kB' % (
              sum(len(w.acknowledged) for w in writers),
              sum(a.kills for a in actors), len(listed), size // 1000,
              new // 1000))
    if size > new * 1.1 + SLACK:
        raise Failure('garbage is left')


def main():
    seed = int(os.environ.get('STRESS_SEED', random.randrange(1 << 32)))
    print('seed %d' % seed, flush=True)
    work = tempfile.mkdtemp(prefix='coffer-stress-')
    try:
        stress(work, float(os.environ.get('STRESS_SEC', sys.argv[1])), seed)
    except Failure as why:
        for log in sorted(glob.glob(os.path.join(work, '*.log'))):
            print(log, file=sys.stderr, flush=True)
            with open(log, 'rb') as f:
                sys.stderr.buffer.write(b''.join(f.readlines()[-20:]))
        sys.exit('stress: %s (seed %d)' % (why, seed))
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
