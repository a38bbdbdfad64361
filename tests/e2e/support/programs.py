"""Programs that a test starts, and the certainty that none outlives it."""

import os
import pathlib
import pty
import pwd
import re
import select
import signal
import socket
import subprocess
import threading
import time
import uuid

# Every program of this run carries this in its environment, and so does what it starts in turn: survivors are found by it.
RUN = "E2E_RUN"
RUN_ID = uuid.uuid4().hex


def eventually(check, seconds=10, what="it"):
    """What `check` returns as soon as that is true; an AssertionError that names `what` if it is not within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        seen = check()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


_given_ports = set()
_given_ports_lock = threading.Lock()


def free_port(kind=socket.SOCK_STREAM):
    """A port that the kernel says is free on loopback; never the same one twice in a run."""
    while True:
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with _given_ports_lock:
            if port not in _given_ports:
                _given_ports.add(port)
                return port


def listens(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def environment(**more):
    """What a program gets: nothing of ours that could change what it does."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", RUN: RUN_ID,
            **{key: str(value) for key, value in more.items()}}


def ids_of(user):
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def identity(user):
    """For Popen: this user and the groups of nobody else."""
    if user is None:
        return {}
    uid, gid = ids_of(user)
    return {"user": uid, "group": gid, "extra_groups": []}


class Program:
    """A running program in a session of its own, with both of its outputs in one log file."""

    def __init__(self, argv, log, env=None, user=None, cwd=None):
        self.log = pathlib.Path(log)
        self.name = self.log.name.removesuffix(".log")
        with self.log.open("ab") as out:
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=env or environment(), start_new_session=True, cwd=cwd,
                                            **identity(user))
        self.pid = self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text, seconds=10, count=1):
        def seen():
            return self.output().count(text) >= count or not self.running
        eventually(seen, seconds, f"{self.name} saying {text!r}")
        if self.output().count(text) < count:
            raise AssertionError(f"{self.name} ended with {self.process.returncode} without saying {text!r}")

    def wait_for_port(self, port, seconds=10):
        eventually(lambda: listens(port) or not self.running, seconds, f"{self.name} listening on {port}")
        if not self.running:
            raise AssertionError(f"{self.name} ended with {self.process.returncode} at once: {self.output()[-800:]}")

    def send(self, number):
        os.kill(self.pid, number)

    def wait(self, seconds=20):
        """The exit code."""
        return self.process.wait(seconds)

    def stop(self):
        """Ends it politely, then not; whatever it left behind in its session ends too."""
        if self.running:
            self.send(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def run(argv, seconds=60, env=None, user=None, cwd=None):
    """Runs a program to its end: exit code and everything that it wrote."""
    with subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", env=env or environment(),
                          start_new_session=True, cwd=cwd, **identity(user)) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"{argv[0]} took longer than {seconds} s; so far: {output[-2000:]}") from None
    return process.returncode, output


def run_on_terminal(argv, prompt, answer, seconds=30, env=None):
    """Runs a program on a terminal where `answer` (bytes) is typed as soon as `prompt` stands there: exit code and all that
    stands there in the end."""
    terminal, its_end = pty.openpty()
    with subprocess.Popen([str(a) for a in argv], stdin=its_end, stdout=its_end, stderr=its_end, env=env or environment(),
                          start_new_session=True) as process:
        os.close(its_end)
        shown = b""
        end = time.monotonic() + seconds
        try:
            while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                shown += os.read(terminal, 4096)
                if answer and shown.endswith(prompt.encode()):
                    os.write(terminal, answer)
                    answer = None
            process.kill()
            raise AssertionError(f"{argv[0]} took longer than {seconds} s; so far: {shown}")
        except OSError:  # nobody has the other end open any more
            pass
        finally:
            os.close(terminal)
    if answer:
        raise AssertionError(f"{argv[0]} did not ask {prompt!r}: {shown}")
    return process.returncode, shown.decode(errors="replace").replace("\r\n", "\n")


def memory_of(pid):
    """What the kernel says of its memory as a whole, in KiB by name: Rss, Pss, Private_Dirty and so on."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(kib) for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}


def cpu_of(pid):
    """Seconds of CPU time that it has used until now."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def survivors():
    """pid and command line of everything that was started in this run and still lives."""
    mark = f"{RUN}={RUN_ID}".encode()
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")))
        except OSError:
            pass  # it ended meanwhile
    return found
