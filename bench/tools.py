# SPDX-License-Identifier: Apache-2.0
"""The programs that are compared: how each one is called.

A tool has a directory of its own, home, for repository and caches.  A step
that a tool does not have raises NotImplementedError.  Every repository is
encrypted, and compressed at zstd's level 1 or what comes next to it.
"""
import os
import shlex
import shutil

import measure

PASSPHRASE = 'correct horse battery staple'


class Tool:
    name = ''
    program = ''
    needs = ()  # Debian packages
    is_slow = False  # one run only where there are a million files
    on_disk = False  # restores to a disk too

    def __init__(self, home):
        self.home = home
        self.repo = os.path.join(home, 'repo')
        self.cache = os.path.join(home, 'cache')
        self.log = home + '.log'
        self.env = dict(os.environ, LC_ALL='C.UTF-8', HOME=home)

    def run(self, *argv, **more):
        return measure.run(list(argv), env=self.env, log=self.log, **more)

    def start(self):
        """An empty repository; not measured."""
        self.end()
        os.makedirs(self.cache)
        self.init()

    def end(self):
        shutil.rmtree(self.home, ignore_errors=True)

    def init(self):
        os.makedirs(self.repo)

    def size(self):
        return measure.tree_size(self.repo)

    def first(self, source):
        raise NotImplementedError

    def unchanged(self, source):
        raise NotImplementedError

    def changed(self, source):
        return self.unchanged(source)

    def duplicate(self, source):
        """Read everything again, all of which the repository has."""
        raise NotImplementedError

    def restore_command(self, source, target):
        raise NotImplementedError

    def restore(self, source, target, sync=False):
        """The newest into target; with sync, until it is on the disk."""
        command = self.restore_command(source, target)
        if sync:
            command = ['sh', '-c', '%s && exec sync -f .'
                       % shlex.join(command)]
        return self.run(*command, cwd=target)

    def restored(self, source, target):
        """Where source then lies."""
        return os.path.join(target, source.lstrip('/'))


class Coffer(Tool):
    name = 'coffer'
    on_disk = True

    def __init__(self, home):
        super().__init__(home)
        self.program = os.environ['COFFER']
        self.env['COFFER_PASSWORD'] = PASSPHRASE
        self.base = [self.program, '-r', self.repo, '--cache-dir',
                     self.cache, '-q', '--no-progress']

    def init(self):
        self.run(*self.base, 'init')

    def first(self, source):
        return self.run(*self.base, 'backup', source)

    unchanged = first

    def duplicate(self, source):
        return self.run(*self.base, 'backup', '--force', source)

    def restore_command(self, source, target):
        return self.base + ['restore', 'latest', '--target', target]


class Restic(Tool):
    name = 'restic'
    program = 'restic'
    needs = ('restic',)
    is_slow = True
    on_disk = True

    def __init__(self, home):
        super().__init__(home)
        self.env['RESTIC_PASSWORD'] = PASSPHRASE
        self.base = ['restic', '-r', self.repo, '--cache-dir', self.cache,
                     '--compression', 'auto', '-q']

    def init(self):
        self.run(*self.base, 'init', '--repository-version', '2')

    def first(self, source):
        return self.run(*self.base, 'backup', source)

    unchanged = first

    def duplicate(self, source):
        return self.run(*self.base, 'backup', '--force', source)

    def restore_command(self, source, target):
        return self.base + ['restore', 'latest', '--target', target]


class Borg(Tool):
    name = 'borg'
    program = 'borg'
    needs = ('borgbackup',)
    is_slow = True

    def __init__(self, home):
        super().__init__(home)
        self.env.update(BORG_PASSPHRASE=PASSPHRASE, BORG_BASE_DIR=self.cache,
                        BORG_RELOCATED_REPO_ACCESS_IS_OK='yes')
        self.n = 0

    def init(self):
        self.n = 0
        self.run('borg', 'init', '-e', 'repokey-blake2', self.repo)

    def archive(self):
        return '%s::%d' % (self.repo, self.n)

    def create(self, source, *more):
        self.n += 1
        return self.run('borg', 'create', '--compression', 'zstd,1', *more,
                        self.archive(), source)

    def first(self, source):
        return self.create(source)

    unchanged = first

    def duplicate(self, source):
        return self.create(source, '--files-cache', 'disabled')

    def restore_command(self, source, target):
        return ['borg', 'extract', self.archive()]


class Tar(Tool):
    """Neither encrypted nor incremental."""
    name = 'tar+zstd'
    program = 'zstd'
    needs = ('tar', 'zstd')

    def file(self):
        return os.path.join(self.repo, 'all.tar.zst')

    def first(self, source):
        return self.run('tar', '-I', 'zstd -1 -T2', '-C', '/', '-cf',
                        self.file(), source.lstrip('/'))

    def restore_command(self, source, target):
        return ['tar', '-I', 'zstd', '-C', target, '-xpf', self.file()]


class Copy(Tool):
    """A copy has no repository: the restore is the copying itself."""
    name = 'cp -a'
    program = 'cp'

    def size(self):
        raise NotImplementedError

    def restore_command(self, source, target):
        return ['cp', '-a', source, target]

    def restored(self, source, target):
        return os.path.join(target, os.path.basename(source))


class Find(Tool):
    """What it takes to look at every file."""
    name = 'find'
    program = 'find'

    def size(self):
        raise NotImplementedError

    def unchanged(self, source):
        return measure.run(['find', source, '-printf',
                            '%p %s %T@ %C@ %m %U %G %i\n'], env=self.env)

    def changed(self, source):
        raise NotImplementedError


class Floor(Tool):
    """The bare loop of bench/floor.c."""
    name = 'floor'

    def __init__(self, home):
        super().__init__(home)
        self.program = os.environ['FLOOR']

    def first(self, source):
        return self.run(self.program, source, os.path.join(self.repo, 'out'))


ALL = (Coffer, Restic, Borg, Tar, Copy, Find, Floor)
