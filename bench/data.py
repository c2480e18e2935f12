# SPDX-License-Identifier: Apache-2.0
"""The data sets, the same on every machine but for what the image holds."""
import os
import random
import shutil

import measure

KERNEL = '/usr/src/linux-source-6.1.tar.xz'
MIB = 1 << 20


class Data:
    name = ''
    needs = ()  # Debian packages
    disk = True  # restored to a disk as well
    duplicate = False  # backed up once more, read from start to end

    def __init__(self, work):
        self.top = os.path.join(work, 'data')
        self.log = os.path.join(work, 'data.log')

    def make(self):
        os.makedirs(self.top)
        self.fill()

    def remove(self):
        shutil.rmtree(self.top, ignore_errors=True)

    def fill(self):
        raise NotImplementedError

    def change(self, seed):
        """Change about one in a hundred of the files."""
        files = []
        for folder, names, leaves in os.walk(self.top):
            names.sort()
            files += [os.path.join(folder, leaf) for leaf in sorted(leaves)]
        rng = random.Random(seed)
        for path in rng.sample(files, max(1, len(files) // 100)):
            if os.path.islink(path):
                continue
            with open(path, 'r+b') as f:
                f.seek(rng.randrange(max(1, os.path.getsize(path))))
                f.write(rng.randbytes(64))

    def describe(self):
        n = total = 0
        for folder, names, leaves in os.walk(self.top):
            n += len(leaves)
            total += sum(os.lstat(os.path.join(folder, leaf)).st_size
                         for leaf in leaves)
        return '%s: %s files, %.2f GB' % (self.name, format(n, ','),
                                          total / 1e9)


class Kernel(Data):
    """The source tree of Linux 6.1, as Debian packs it."""
    name = 'kernel'
    needs = ('linux-source-6.1', 'xz-utils')

    def fill(self):
        measure.run(['tar', '-C', self.top, '--strip-components=1', '-xf',
                     KERNEL], log=self.log)


class Image(Data):
    """An ext4 image of 2 GiB with a part of /usr; a change rewrites 2 %."""
    name = 'image'
    needs = ('e2fsprogs',)
    duplicate = True
    SIZE = 2048 * MIB
    BLOCK = 64 << 10

    def fill(self):
        stage = os.path.join(self.top, 'stage')
        left = 1700 * MIB
        for folder in ('lib', 'share', 'bin', 'sbin', 'include'):
            left = self.stage('/usr/' + folder, stage + '/' + folder, left)
        measure.run(['/sbin/mke2fs', '-q', '-F', '-t', 'ext4', '-d', stage,
                     self.top + '/disk.img', '2048M'], log=self.log)
        shutil.rmtree(stage)

    @staticmethod
    def stage(source, target, left):
        """Copy files of source while they take less than left bytes."""
        for folder, names, leaves in os.walk(source):
            names.sort()
            to = target + folder[len(source):]
            os.makedirs(to)
            for leaf in sorted(leaves):
                path = os.path.join(folder, leaf)
                size = os.lstat(path).st_size + 4096
                if os.path.isfile(path) and size < left:
                    shutil.copy(path, to, follow_symlinks=False)
                    left -= size
        return left

    def change(self, seed):
        rng = random.Random(seed)
        with open(self.top + '/disk.img', 'r+b') as f:
            for _ in range(self.SIZE // self.BLOCK // 50):
                f.seek(rng.randrange(self.SIZE // 4096 - 16) * 4096)
                f.write(rng.randbytes(self.BLOCK))


class Million(Data):
    """A million files of 0 to 4 KiB in ten thousand directories."""
    name = 'million'
    disk = False
    FOLDERS = 10000
    FILES = 100  # in each

    def fill(self):
        rng = random.Random(1)
        words = [''.join(rng.choices('abcdefghijklmnopqrstuvwxyz', k=k))
                 for k in rng.choices(range(2, 10), k=5000)]
        pool = ' '.join(rng.choices(words, k=5000000)).encode()
        for i in range(self.FOLDERS):
            folder = '%s/%02d/%04d' % (self.top, i % 100, i)
            os.makedirs(folder)
            at = os.open(folder, os.O_PATH)
            for k in range(self.FILES):
                begin = rng.randrange(len(pool) - 4096)
                fd = os.open('f%d' % k, os.O_WRONLY | os.O_CREAT, 0o644,
                             dir_fd=at)
                os.write(fd, pool[begin:begin + rng.randrange(4097)])
                os.close(fd)
            os.close(at)


ALL = (Kernel, Image, Million)
