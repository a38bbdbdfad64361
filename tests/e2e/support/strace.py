"""The agent's system calls, and its death at one of them: strace lets a signal come just before the Nth call of a kind."""

import re
import subprocess

from support import programs
from support.agent import agent_environment, refuse_sanitizer_reports
from support.skips import skip

# What a renewal does to files, sockets and processes; "?" is for names that this machine's kernel does not have.
CALLS = ["openat", "open", "read", "write", "close", "readlink", "mkdir", "rmdir", "rename", "renameat", "renameat2",
         "symlink", "symlinkat", "unlink", "unlinkat", "chmod", "fchmod", "fchown", "fsync", "socket", "bind", "listen",
         "accept4", "connect", "sendto", "recvfrom", "poll", "ppoll", "shutdown", "pidfd_open", "pidfd_send_signal", "kill"]


class Call:
    """One system call as it begins: the `number`th `name` of its thread."""

    def __init__(self, line, number):
        self.text = line
        self.name = re.match(r"\d+ +(\w+)\(", line).group(1)
        self.number = number

    def is_like(self, other):
        return (self.name, self.number) == (other.name, other.number)

    @property
    def label(self):
        """The call and what it is about, the same in every run: `rename ..data`, `fsync held`, `sendto`."""
        if "</proc/" in self.text or '"/proc/' in self.text:
            return f"{self.name} /proc"
        text = self.text.split(",")[0] if self.name in ("read", "write", "sendto", "recvfrom") else self.text  # not the data
        paths = re.findall(r'(?<=["<])/[^">]*(?=[">])', text)
        if not paths:
            return self.name
        parts = paths[-1].rstrip("/").split("/")
        last = next(part for part in reversed(parts) if not re.fullmatch(r"\.\.\d+(\.new)?", part) or part == parts[1])
        inside = "/N" if parts[-1] != last else ""
        return f"{self.name} {re.sub(r'[0-9]+', 'N', last)}{inside}"


def calls_in(trace):
    counts = {}
    calls = []
    for line in trace.read_text(errors="replace").splitlines():
        begun = re.match(r"(\d+) +(\w+)\(", line)
        if begun:
            counts[begun.groups()] = counts.get(begun.groups(), 0) + 1
            calls.append(Call(line, counts[begun.groups()]))
    return calls


def run(me, *words, kill_at=None, **changes):
    """`acme-agent WORDS` to its end, or until just before the call `kill_at`: exit code, output, the calls it has begun."""
    trace = me.case.folder / "strace.txt"
    argv = ["strace", "-f", "-y", "-s", "120", "-o", trace, "-e", "trace=" + ",".join("?" + c for c in CALLS)]
    if kill_at:
        argv += ["-e", f"inject={kill_at.name}:signal=KILL:when={kill_at.number}"]
    env = agent_environment()
    env["ASAN_OPTIONS"] += ":detect_leaks=0"  # LeakSanitizer is a tracer itself
    code, output = programs.run([*argv, me.case.agent_path, *words, *me.arguments(log_level="debug", **changes)], env=env)
    refuse_sanitizer_reports(output)
    return code, output, calls_in(trace)


def require(attach=False):
    """Skips where nobody may watch a program that it starts; with `attach`, one that runs already."""
    code, _ = programs.run(["strace", "-o", "/dev/null", "true"])
    if code == 0 and attach:
        sleeper = subprocess.Popen(["sleep", "60"])
        code, _ = programs.run(["timeout", "--signal=INT", "1", "strace", "-o", "/dev/null", "-p", sleeper.pid])
        code = 0 if code == 124 else code
        sleeper.kill()
        sleeper.wait()
    if code != 0:
        skip("no-ptrace")
