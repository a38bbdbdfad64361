"""Nothing to do: a certificate that is not due, a broker that serves it. Then the agent must not be there at all."""

import pathlib
import re
import signal
import time

from support import programs, strace
from support.case import ServedCase


class IdleCase(ServedCase):
    agent_options = {"key_type": "ec256"}

    def setUp(self):
        super().setUp()
        self.seconds = 600 if self.long else 20
        self.serve()
        self.daemon = self.start()
        self.me.wait_until_valid()
        self.proc = pathlib.Path(f"/proc/{self.daemon.pid}")
        self.sanitizer_polls = "libtsan" in (self.proc / "maps").read_text()
        self.wait_for_rest()

    def start(self):
        return self.me.start()

    def wait_for_rest(self):
        """Until no thread has run for a second: `status` of wait_until_valid() was work, too."""
        before = None
        for _ in range(20):
            now = self.switches()
            if now == before:
                return
            before = now
            time.sleep(1)
        if not self.sanitizer_polls:
            self.fail(f"it does not come to rest; context switches of its threads: {before}")

    def switches(self):
        """How often each thread has slept or was put aside: a number that stands still means that it did not run."""
        counts = {}
        for task in (self.proc / "task").iterdir():
            status = (task / "status").read_text()
            name = f"{task.name} {(task / 'comm').read_text().strip()}"
            counts[name] = sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", status)))
        if self.sanitizer_polls:  # ThreadSanitizer has a thread of its own
            del counts[max(counts, key=counts.get)]
        return counts

    def note(self, woken, more):
        memory = programs.memory_of(self.daemon.pid)
        private = memory["Private_Clean"] + memory["Private_Dirty"]
        self.figures.append(f"idle for {self.seconds} s: {woken} wake-ups, {more}; "
                            f"PSS {memory['Pss']} kB, RSS {memory['Rss']} kB, {private} kB private")


class Idle(IdleCase):
    def io(self):
        """Calls and bytes of every read and write since its start."""
        return dict(line.split(": ") for line in (self.proc / "io").read_text().splitlines())

    def sockets(self):
        """Each socket that it has open, by its line in a table of /proc/net."""
        tables = {table: (self.proc / "net" / table).read_text().splitlines()[1:]
                  for table in ("tcp", "tcp6", "udp", "udp6", "unix", "netlink", "packet", "raw", "raw6")}
        column = {"tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "unix": 6, "netlink": 9, "packet": 8, "raw": 9, "raw6": 9}
        found = []
        for file in (self.proc / "fd").iterdir():
            inode = re.fullmatch(r"socket:\[(\d+)\]", str(file.readlink()))
            if inode:
                lines = [f"{table}: {line}" for table, all_lines in tables.items() for line in all_lines
                         if line.split()[column[table]] == inode.group(1)]
                found += lines or [f"socket {inode.group(1)} of a kind unknown here"]
        return found

    def files(self):
        """When what lies in its folders was last touched."""
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
                for folder in (self.me.state, self.me.cert_dir) for path in [folder, *sorted(folder.rglob("*"))]}

    def test_with_nothing_to_do_no_thread_runs_and_nothing_is_written_and_no_socket_but_the_control_socket_is_open(self):
        before = self.switches(), self.io(), self.files()
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            sockets = self.sockets()
            self.assertEqual([s for s in sockets if not re.fullmatch(r"unix: .*/control\.sock", s)], [], "open sockets")
            self.assertEqual(len(sockets), 1, sockets)
            time.sleep(min(5, self.seconds / 10))
        switches, io, files = self.switches(), self.io(), self.files()
        self.assertEqual(switches, before[0], "context switches by thread, with the name that it has")
        self.assertEqual(io, before[1], "/proc/PID/io")
        self.assertEqual(files, before[2])
        self.assertTrue(self.daemon.running)
        written = int(io["write_bytes"]) - int(before[1]["write_bytes"])
        self.note(sum(switches.values()) - sum(before[0].values()),
                  f"{len(switches)} threads, {written} bytes written, {len(sockets)} socket open (the control socket)")

    def test_with_nothing_to_do_not_one_system_call_is_made(self):
        strace.require(attach=True)
        trace = self.folder / "strace.txt"
        watcher = self.program("strace", ["strace", "-f", "-tt", "-p", str(self.daemon.pid), "-o", trace])
        threads = len(list((self.proc / "task").iterdir()))
        watcher.wait_for_output("attached")
        time.sleep(self.seconds)
        self.assertTrue(watcher.running, watcher.output())
        watcher.send(signal.SIGINT)
        watcher.wait()
        # Each thread is in the call that it waits in, which begins before the watch and ends after it.
        calls = [line for line in trace.read_text().splitlines() if not re.search(r"<(unfinished|detached) \.\.\.>$", line)]
        waiting = {line.split()[0] for line in trace.read_text().splitlines()} - {line.split()[0] for line in calls}
        if self.sanitizer_polls:
            busiest = max({line.split()[0] for line in calls}, key=lambda pid: sum(line.startswith(pid) for line in calls))
            calls = [line for line in calls if not line.startswith(busiest)]
            threads -= 1
        self.assertEqual(calls, [])
        self.assertEqual(len(waiting), threads, "strace did not see every thread")
        self.assertTrue(self.daemon.running)
        self.figures.append(f"watched by strace for {self.seconds} s: {len(calls)} system calls of {threads} threads")


class IdleAndShown(IdleCase):
    keepalive = 300  # s, of MQTT

    def start(self):
        daemon = self.me.start(status_listen=programs.free_port(), mqtt=f"mqtt://127.0.0.1:{self.mqtt.plain_port}")
        daemon.wait_for_output("publishes to")
        return daemon

    def test_a_page_that_nobody_reads_and_a_broker_that_knows_all_wake_no_thread_but_for_a_sign_of_life_in_five_minutes(self):
        before = self.switches()
        time.sleep(self.seconds)
        switches = self.switches()
        woken = sum(switches.values()) - sum(before.values())
        self.assertLessEqual(woken, 4 * (self.seconds // self.keepalive), (before, switches))  # a ping, an answer, and room for both
        self.note(woken, f"{len(switches)} threads, with --status-listen and --mqtt")
