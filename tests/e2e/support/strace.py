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
    options = ["-s", "120", "-e", "trace=" + _known(CALLS)]
    if kill_at:
        options += ["-e", f"inject={kill_at.name}:signal=KILL:when={kill_at.number}"]
    code, output, trace = _watch(["strace", *options], me, *words, log_level="debug", **changes)
    return code, output, calls_in(trace)


def _known(calls):
    return ",".join("?" + call for call in calls)


def _watch(argv, me, *words, **changes):
    """`argv` is how strace is called; exit code, output and the file with the trace."""
    trace = me.case.folder / "strace.txt"
    env = agent_environment()
    env["ASAN_OPTIONS"] += ":detect_leaks=0"  # LeakSanitizer is a tracer itself
    code, output = programs.run([*argv, "-f", "-y", "-o", trace, me.case.agent_path, *words, *me.arguments(**changes)], env=env)
    refuse_sanitizer_reports(output)
    return code, output, trace


# Whatever changes files, under all names that kernels have for it; flock(2) too, as it keeps other writers out.
CHANGES = ["open", "openat", "creat", "write", "pwrite64", "writev", "pwritev", "truncate", "ftruncate", "fallocate",
           "copy_file_range", "sendfile", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
           "unlinkat", "rmdir", "mkdir", "mkdirat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat",
           "utimensat", "fsync", "fdatasync", "sync_file_range", "syncfs", "flock"]


class Step:
    """The `number`th `name` of its thread, of those about `path` if there is one. The process's id in it is written `$$`."""

    def __init__(self, name, path, number, text=""):
        self.name, self.path, self.number, self.text = name, path, number, text

    @property
    def only_reads(self):
        return self.name in ("open", "openat") and not re.search(r"O_(WRONLY|RDWR|CREAT|DIRECTORY)", self.text)

    @property
    def lists(self):
        return "O_DIRECTORY" in self.text


def steps(me, folder, *words, **changes):
    """What a run does in `folder`: exit code, output, its steps; what two threads do alike is one step."""
    argv = ["strace", "--seccomp-bpf", "-s", "0", "-e", "trace=" + _known(CHANGES)]
    code, output, trace = _watch(argv, me, *words, **changes)
    calls = calls_in(trace)
    process = calls[0].text.split()[0]
    seen, found = {}, {}
    for call in calls:
        thread, begun = call.text.split(maxsplit=1)
        begun = re.split(r"\) += | <unfinished", begun)[0]
        paths = re.findall(r'(?<=["<])/[^">]*(?=[">])', begun)
        for path in paths:
            seen[thread, call.name, path] = seen.get((thread, call.name, path), 0) + 1
        path = next((path for path in paths if f"{path}/".startswith(f"{folder}/")), None)
        if path:
            name = path.replace(f"write-test-{process}", "write-test-$$")
            step = Step(call.name, name, seen[thread, call.name, path], begun)
            found.setdefault((step.name, step.path, step.number), step)
    return code, output, list(found.values())


def run_with_fault(me, step, fault, *words, **changes):
    """A run in which this step fails with the error `fault`, or SIGKILL comes instead of it: exit code, output and whether it
    came to that."""
    kills = fault == "SIGKILL"
    options = ["-e", f"trace={step.name}", "-e",
               f"inject={step.name}:{'signal=KILL' if kills else f'error={fault}'}:when={step.number}"]
    if not kills:  # strace 6.1 forgets the signal with that
        options.append("--seccomp-bpf")
    path = f'-P "{step.path}"' if step.path else ""
    # With -D, the agent has the id that the shell had.
    code, output, trace = _watch(["sh", "-c", f'exec strace -D {path} "$@"', "sh", *options], me, *words, **changes)
    return code, output, code == -9 if kills else "(INJECTED)" in trace.read_text(errors="replace")


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
