"""Caddy as an ACME server for its LAN (acme_server), which knows port 80 and 443 only: in a network of its own, where every
name that a test wants is this machine."""

import pathlib
import subprocess
import sys

from support import programs
from support.skips import skip

OWN_NETWORK = pathlib.Path(__file__).with_name("own_network.py")
PORT = 8443
CONFIG = """{
  admin off
  storage file_system STORE
  skip_install_trust
  auto_https disable_redirects
}
https://localhost:PORT {
  tls internal
  acme_server
}
"""


class Caddy:
    def __init__(self, case, names):
        if subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True).returncode != 0:
            skip("no-namespaces")
        store = case.folder / "caddy"
        hosts = case.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost " + " ".join(names) + "\n")
        config = case.folder / "Caddyfile"
        config.write_text(CONFIG.replace("STORE", str(store)).replace("PORT", str(PORT)))
        command = ["caddy", "run", "--config", config, "--adapter", "caddyfile"]
        self.program = case.program("caddy", ["unshare", "-n", "-m", sys.executable, OWN_NETWORK, hosts, *command],
                                    env=programs.environment(HOME=case.folder))
        self.prefix = ["nsenter", "-t", self.program.pid, "-n", "-m"]
        self.url = f"https://localhost:{PORT}/acme/local/directory"
        self.ca_bundle = store / "pki/authorities/local/root.crt"
        self.http_port, self.tls_port = 80, 443
        programs.eventually(lambda: "certificate obtained successfully" in self.program.output(), 20, "Caddy's own certificate")
