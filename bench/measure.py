# SPDX-License-Identifier: Apache-2.0
"""Runs one command and says what it cost.

The peak of memory is what the kernel counted for the command and what it
started; it cannot be below that of this driver (about 15 MB), from which the
command was forked.
"""
import os
import signal
import subprocess
import time

STEP_SEC = int(os.environ.get('BENCH_STEP_SEC', '900'))

_running = None


class Failed(Exception):
    """A command ended with a bad status, or not in time."""


class Cost:
    def __init__(self, wall, cpu, rss):
        self.wall = wall  # seconds
        self.cpu = cpu  # seconds, user and system
        self.rss = rss  # bytes, peak


def kill_running():
    if _running is not None:
        try:
            os.killpg(_running, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _on_alarm(_number, _frame):
    kill_running()


def run(argv, env=None, cwd=None, log=os.devnull, ok=(0,)):
    """Wait for argv to end; its output is appended to the file log."""
    global _running
    old = signal.signal(signal.SIGALRM, _on_alarm)
    with open(log, 'ab') as out:
        out.write(('$ ' + ' '.join(argv) + '\n').encode())
        out.flush()
        begin = time.monotonic()
        child = subprocess.Popen(argv, env=env, cwd=cwd, stdout=out,
                                 stderr=out, stdin=subprocess.DEVNULL,
                                 start_new_session=True)
        _running = child.pid
        signal.alarm(STEP_SEC)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            kill_running()
            child.wait()
            raise
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
            _running = None
        wall = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in ok:
        raise Failed('%s: status %d' % (' '.join(argv), child.returncode))
    return Cost(wall, usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss * 1024)


def tree_size(path):
    """Bytes that the files below path hold."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(folder, name)).st_size
    return total
