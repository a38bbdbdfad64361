"""Where the clients run: Pebble, a web server for those that bring none, and runs that are measured."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from clients import Task
from support import programs
from support.pebble import Pebble
from support.tls_files import server_files

SYSTEM_ROOTS = pathlib.Path("/etc/ssl/certs")
LONGEST_RUN = 120


class Stage:
    """A folder, and programs that end with it: what the classes of the end-to-end tests stand on."""

    def __init__(self, folder, run_folder, agent_path):
        self.folder, self.run_folder, self.agent_path = folder, run_folder, agent_path
        self.folder.mkdir(exist_ok=True)
        self._programs = []
        self._stages = []

    def beside(self, name):
        """One more, for a scenario that needs servers of its own; it ends with this one, at the latest."""
        self._stages.append(Stage(self.folder / name, self.run_folder, self.agent_path))
        return self._stages[-1]

    def program(self, name, argv, **options):
        self._programs.append(programs.Program(argv, self.folder / f"{name}.log", **options))
        return self._programs[-1]

    def end(self):
        for stage in self._stages:
            stage.end()
        for program in reversed(self._programs):
            program.stop()


class FastPebble(Pebble):
    """Signs with EC keys, as public servers do, and believes nothing that it validated before."""

    def __init__(self, stage, version, **options):
        super().__init__(stage, version=version, authz_reuse=0, **options)

    def start(self):
        settings = json.loads(self.config.read_text())
        settings["pebble"]["keyAlgorithm"] = "ecdsa"
        self.config.write_text(json.dumps(settings))
        super().start()


class Relay(threading.Thread):
    """Stands before Pebble and counts the connections."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.start()

    def run(self):
        while True:
            client, _ = self._listener.accept()
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._server_port))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Roots:
    """The test CA beside the system's roots, seen by us and what we start, and by nobody else."""

    def __init__(self, folder):
        self.only, _, _ = server_files(folder)
        certs = folder / "certs"
        shutil.copytree(SYSTEM_ROOTS, certs, symlinks=True)
        self.bundle = folder / "bundle.pem"
        self.bundle.write_bytes((SYSTEM_ROOTS / "ca-certificates.crt").read_bytes() + self.only.read_bytes())
        (certs / "ca-certificates.crt").unlink()
        shutil.copy(self.bundle, certs / "ca-certificates.crt")
        code, digest = programs.run(["openssl", "x509", "-in", self.only, "-noout", "-hash"])
        assert code == 0, digest
        shutil.copy(self.only, certs / f"{digest.strip()}.0")
        clone_newns = 0x00020000
        libc = ctypes.CDLL(None, use_errno=True)
        self.in_system = libc.unshare(clone_newns) == 0 and all(
            programs.run(["mount", *words])[0] == 0
            for words in (["--make-rprivate", "/"], ["--bind", certs, SYSTEM_ROOTS]))


def wait_until_free(port):
    def is_free():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return True
    programs.eventually(is_free, 20, f"port {port} getting free")


class Bench(Stage):
    def __init__(self, folder, tools, agent_path, pebble_version, roots):
        super().__init__(folder, folder, agent_path)
        self.tools = tools
        self.roots = roots
        self.test_roots = Roots(folder)
        self.ca_file = self.test_roots.only if roots == "one" else self.test_roots.bundle
        self.webroot = folder / "webroot"
        (self.webroot / ".well-known/acme-challenge").mkdir(parents=True)
        self.http_port = programs.free_port()
        self.pebble = FastPebble(self, pebble_version, http_port=self.http_port, lifetime=90 * 86400)
        self._names = 0

    def task(self, client, key, server=None, names=1):
        self._names += 1
        state = pathlib.Path(tempfile.mkdtemp(prefix=f"{client.name}-", dir=self.folder))
        task = Task(state, key, f"d{self._names}.bench.test", server or self.pebble.url, self.http_port, self.webroot,
                    self.ca_file, self.roots, tuple(f"n{i}.d{self._names}.bench.test" for i in range(1, names)))
        client.prepare(task)
        return task

    def run(self, client, task, *commands, want=True, codes=(0,), pebble=None):
        """One measured run: what it cost, and whether it did what it should."""
        figures = self.folder / "figures.json"
        figures.unlink(missing_ok=True)
        log = self.folder / "client.log"
        log.unlink(missing_ok=True)
        words = [[str(word) for word in command] for command in commands]
        if len(words) > 1:
            words = [["sh", "-c", " && ".join(map(shlex.join, words[:-1])) + " && exec " + shlex.join(words[-1])]]
        server_log = (pebble or self.pebble).program.log
        offset = server_log.stat().st_size
        with self._web_server(client):
            # File times are those of the last tick.
            wall_clock, began = time.time() - 0.01, time.monotonic()
            program = programs.Program([self.tools / "measure", figures, *words[0]], log,
                                       env=programs.environment(**client.environment(task)))
            wall = self._wait(program, client, task, wall_clock) - began
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
        wait_until_free(self.http_port)
        seen = json.loads(figures.read_text()) if figures.exists() else {}
        with server_log.open(errors="replace") as lines:
            lines.seek(offset)
            requests = len(re.findall(r"(?:GET|HEAD|POST) \S+ -> calling handler", lines.read()))
        done = bool(seen) and (client.is_daemon or seen["code"] in codes) and (
            not want or self._has_certificate(client, task, wall_clock))
        if not done:
            return {"ok": False, "why": f"code {seen.get('code')}: {log.read_text(errors='replace').strip()[-600:]}"}
        return {"ok": True, "wall": wall if client.is_daemon else seen["wall"], "cpu": seen["user"] + seen["system"],
                "max_rss_kb": seen["max_rss_kb"], "requests": requests}

    def _wait(self, program, client, task, since):
        """When it had done its work: at its end, or for a daemon when the certificate was there."""
        if client.is_daemon:
            done = None
            with contextlib.suppress(AssertionError):
                done = programs.eventually(lambda: self._has_certificate(client, task, since) or not program.running,
                                           LONGEST_RUN, "a certificate")
            ended = time.monotonic()
            if done:
                children = pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children")
                with contextlib.suppress(OSError):
                    for pid in children.read_text().split():
                        os.kill(int(pid), signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(LONGEST_RUN)
        return ended if client.is_daemon else time.monotonic()

    @staticmethod
    def _has_certificate(client, task, since):
        def is_new(path):
            with contextlib.suppress(OSError):
                status = path.stat()
                return status.st_size > 0 and status.st_mtime >= since
        return any(map(is_new, task.state.glob(client.certificates)))

    @contextlib.contextmanager
    def _web_server(self, client):
        if not client.needs_webroot:
            yield
            return
        server = programs.Program([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", self.webroot,
                                   self.http_port], self.folder / "webroot.log")
        try:
            server.wait_for_port(self.http_port)
            yield
        finally:
            server.stop()
