# SPDX-License-Identifier: Apache-2.0
"""What the tests have in common: TAP, the program, the decoder."""
import os
import subprocess
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
PASSPHRASE = "golden"


class Differs(Exception):
    pass


class Test:
    def __init__(self, coffer, work):
        self.coffer = os.path.abspath(coffer)
        self.work = work
        self.count = self.failed = 0
        os.environ["COFFER_PASSWORD"] = PASSPHRASE
        os.umask(0o022)
        sys.stdout.reconfigure(errors="backslashreplace")

    def check(self, name, function, *arguments):
        self.count += 1
        try:
            function(*arguments)
            print("ok %d - %s" % (self.count, name))
        except Exception:
            self.failed += 1
            print("not ok %d - %s" % (self.count, name))
            print("# " + traceback.format_exc().replace("\n", "\n# "))
        sys.stdout.flush()

    def place(self, name):
        return os.path.join(self.work, name)

    def run(self, repository, *arguments, codes=(0,), **options):
        done = subprocess.run(
            [self.coffer, "-r", repository, "--no-cache", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        if done.returncode not in codes:
            problems = done.stderr.decode(errors="replace")
            raise Differs("%s: %d\n%s" % (arguments, done.returncode,
                                          problems))
        return done

    def decode(self, repository, snapshot, target):
        """Restores with the decoder; returns what it had to say."""
        return subprocess.run(
            [os.path.join(HERE, "decoder.py"), repository, PASSPHRASE,
             "restore", snapshot.id, target], check=True,
            stderr=subprocess.PIPE).stderr.decode(errors="replace")

    def end(self):
        """Ends the TAP; returns the exit status."""
        print("1..%d" % self.count)
        return 1 if self.failed else 0
