"""Mosquitto as Debian runs it: started as root, living as the user mosquitto, with its certificate in the agent's folder."""

import os
import pathlib
import shutil
import signal

from support import mqtt, programs, tls
from support.skips import skip


def executable(version):
    """`debian` is 2.0 of Debian 12, `newest` the one that tests/run.sh fetched from unstable."""
    if version == "debian":
        return shutil.which("mosquitto", path=programs.environment()["PATH"])
    path = pathlib.Path(__file__).resolve().parents[3] / "build/newest/mosquitto"
    if not path.exists():
        skip("no-newer-mosquitto")
    return str(path)


class Mosquitto:
    """`comm` is a name of its own, so that `process:` finds this one whatever else runs on the machine."""

    def __init__(self, case, cert_dir, version="debian", certfile="fullchain.pem", keyfile="privkey.pem", port=None, extra=""):
        self.case = case
        self.port = port or programs.free_port()
        self.plain_port = programs.free_port()
        self.cert_dir = cert_dir
        self.folder = case.folder / f"broker-{self.port}"
        self.folder.mkdir()
        shutil.chown(self.folder, "mosquitto", "mosquitto")
        self.pidfile = self.folder / "mosquitto.pid"
        self.comm = f"mosq{self.port}"
        self._program_file = self.folder / self.comm
        self._program_file.symlink_to(executable(version))
        self.config = self.folder / "mosquitto.conf"
        self.write_config(certfile, keyfile, extra)
        self.prefix = []  # of its command line
        self.program = None
        self.clients = []

    def write_config(self, certfile="fullchain.pem", keyfile="privkey.pem", extra=""):
        self.config.write_text(f"""
user mosquitto
pid_file {self.pidfile}
allow_anonymous true
log_type all
listener {self.plain_port} 127.0.0.1
listener {self.port} 127.0.0.1
certfile {self.cert_dir / certfile}
keyfile {self.cert_dir / keyfile}
{extra}
""")

    def serve_more(self, pairs):
        """A listener for each further pair of certificate and key: their ports, from the next start on."""
        ports = [programs.free_port() for _ in pairs]
        with self.config.open("a") as config:
            for port, (certificate, key) in zip(ports, pairs):
                config.write(f"listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n")
        return ports

    def start_process(self):
        self.program = self.case.program("mosquitto", [*self.prefix, self._program_file, "-c", self.config])

    def start(self):
        self.start_process()
        self.program.wait_for_port(self.port)
        programs.eventually(self.pidfile.exists, 5, "Mosquitto's pid file")
        return self

    def stop(self):
        self.program.stop()

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        """Somebody sends SIGHUP, as logrotate does every day, and Mosquitto is through with it."""
        before = self.program.output().count("Reloading config.")
        os.kill(self.program.pid, signal.SIGHUP)
        self.program.wait_for_output("Reloading config.", count=before + 1)
        self.round_trip()

    def round_trip(self):
        """One message through the plain listener: Mosquitto works on one thing after the other, so what was before is done."""
        client = mqtt.Client(self.plain_port, "round-trip", tls=False)
        client.ping()
        client.close()

    def hold_session(self, name="device", certificate=None):
        """A device that stays connected over TLS; closed with the test."""
        client = mqtt.Client(self.port, name, certificate=certificate)
        self.clients.append(client)
        self.case.addCleanup(client.close)
        return client

    def served(self, **options):
        return tls.served(self.port, **options)
