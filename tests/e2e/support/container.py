"""Containers of podman. Their root is this machine's own, under a layer of the test's: what is installed here is there."""

import os
import subprocess

from support import programs
from support.mosquitto import Mosquitto
from support.skips import skip

# What runs here and who works here is not there.
_EMPTY = ("tmp", "run", "var/tmp", "var/log", "root", "home")


class Podman:
    def __init__(self, case):
        self.case = case
        self.root = case.folder / "root"
        self.socket = case.folder / "podman.sock"
        self._layer = case.folder / "layer"
        self._layer.mkdir()
        self.root.mkdir()
        self._mount("tmpfs", "tmpfs", self._layer)
        upper, work = self._layer / "upper", self._layer / "work"
        work.mkdir()
        upper.mkdir()
        for name in _EMPTY:
            (upper / name).mkdir(parents=True)
            os.setxattr(upper / name, "trusted.overlay.opaque", b"y")
        (upper / "tmp").chmod(0o1777)
        self._mount("overlay", "overlay", self.root, "-o", f"lowerdir=/,upperdir={upper},workdir={work}")
        code, output = self.run("run", "--rm", *self.options("trial"), "--rootfs", self.root, "true")
        if code:
            (case.folder / "podman.log").write_text(output)
            skip("no-containers")

    def _mount(self, kind, device, where, *options):
        if subprocess.run(["mount", "-t", kind, device, *options, where], capture_output=True, check=False).returncode:
            skip("no-mount")
        self.case.addCleanup(subprocess.run, ["umount", "--lazy", where], check=False)

    def run(self, *words):
        return programs.run(["podman", *words])

    def options(self, name, network="host"):
        """The folder of all tests has the same path inside. The name keeps two tests apart."""
        return ["--name", self.full_name(name), "--runtime", "runc", "--ulimit", "nofile=1024:1024", "--ulimit",
                "nproc=4000:4000", "--network", network, "--volume", f"{self.case.run_folder}:{self.case.run_folder}", "--env",
                f"{programs.RUN}={programs.RUN_ID}"]

    def full_name(self, name):
        return f"{self.case.folder.name}-{name}"

    def start(self, name, *argv, options=(), network="host", root=None):
        """A container of this name; its output is in a log of the test's."""
        program = self.case.program(name, ["podman", "run", "--replace", *self.options(name, network), *options, "--rootfs",
                                           root or self.root, *argv])
        self.case.addCleanup(self.remove, name)
        return program

    def remove(self, name):
        self.run("rm", "--force", "--time", "0", self.full_name(name))
        # podman's own process for a container outlives it a little
        programs.eventually(lambda: not any("conmon" in command and self.full_name(name) in command
                                            for _, command in programs.survivors()), 10, f"the end of {name}'s container")

    def serve(self):
        """The API of Docker and Podman, at a socket."""
        self.case.program("podman-service", ["podman", "system", "service", "--time=0", f"unix://{self.socket}"])
        programs.eventually(self.socket.exists, 10, "podman's socket")
        return self.socket


class ContainedMosquitto(Mosquitto):
    """In a container of its own, as its own user and without any capability, as its image has it."""

    def __init__(self, case, podman, cert_dir, before="", options=()):
        super().__init__(case, cert_dir)
        self.podman = podman
        self.before = before  # words of a shell in the same container
        self.options = options  # of the container
        self.name = podman.full_name("broker")

    def start_process(self):
        self.pidfile.unlink(missing_ok=True)
        self.program = self.podman.start("broker", "sh", "-c", f"{self.before} exec mosquitto -c {self.config}",
                                         options=["--user", "mosquitto", "--cap-drop", "all", *self.options])

    def stop(self):
        self.podman.run("kill", "--signal", "KILL", self.name)
        self.program.wait()
