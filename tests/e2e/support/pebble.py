"""Pebble, a real ACME server, and its DNS (pebble-challtestsrv), where every name is this machine."""

import json
import pathlib
import ssl
import subprocess
import urllib.request

from support import programs
from support.skips import skip
from support.tls_files import server_files


def executable(version):
    """`debian` is the one of Debian 12, `newest` the one that tests/run.sh fetched from unstable."""
    if version == "debian":
        return "pebble"
    path = pathlib.Path(__file__).resolve().parents[3] / "build/newest/usr/bin/pebble"
    if not path.exists():
        skip("no-newer-pebble")
    return str(path)


class Pebble:
    def __init__(self, case, version="debian", http_port=None, lifetime=None, nosleep=True, nonce_reject=0,
                 authz_reuse=50, ipv6="", always_valid=False, sleep_seconds=None,
                 retry_after=None, dns_port=None, dns_address="127.0.0.1", eab=None, eab_required=False, alternate_roots=0, intermediates=None,
                 caa_identities=None):
        """`lifetime` of certificates in seconds; `sleep_seconds` the longest wait before a validation; `retry_after` the
        seconds that the newest one takes for an order; `dns_port` (and `dns_address`) where a name server of the
        test's own listens; `eab` the MAC keys of external accounts in base64url, by their ids."""
        self.case = case
        self.version = version
        self.http_port = http_port or programs.free_port()
        self.tls_port = programs.free_port()
        self.port = programs.free_port()
        self.management_port = programs.free_port()
        self.dns_port = dns_port or programs.free_port()
        self.dns_address = dns_address
        self.ca_bundle, certificate, key = server_files(case.run_folder)
        self.url = f"https://localhost:{self.port}/dir"
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(certificate), "privateKey": str(key),
            "httpPort": self.http_port, "tlsPort": self.tls_port, "ocspResponderURL": ""}
        if lifetime:
            settings["certificateValidityPeriod"] = lifetime
            settings["profiles"] = {"default": {"description": "the default", "validityPeriod": lifetime}}
        if eab:
            settings["externalAccountMACKeys"] = eab
            settings["externalAccountBindingRequired"] = eab_required
        if caa_identities:
            settings["caaIdentities"] = caa_identities
        if retry_after:
            settings["retryAfter"] = {"authz": 1, "order": retry_after}
        self.config = case.folder / "pebble.json"
        self.config.write_text(json.dumps({"pebble": settings}))
        self.env = programs.environment(PEBBLE_WFE_NONCEREJECT=nonce_reject, PEBBLE_AUTHZREUSE=authz_reuse)
        if intermediates is not None:
            self.env["PEBBLE_CHAIN_LENGTH"] = str(intermediates)
        if alternate_roots:
            self.env["PEBBLE_ALTERNATE_ROOTS"] = str(alternate_roots)
        if nosleep:
            self.env["PEBBLE_VA_NOSLEEP"] = "1"
        if always_valid:
            self.env["PEBBLE_VA_ALWAYS_VALID"] = "1"
        if sleep_seconds is not None:
            self.env["PEBBLE_VA_SLEEPTIME"] = str(sleep_seconds)
        if not dns_port:
            self.dns_management = management = programs.free_port()
            self.dns = case.program("dns", [
                "pebble-challtestsrv", "-defaultIPv6", ipv6, "-dns01", f"127.0.0.1:{self.dns_port}", "-http01", "",
                "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{management}"])
            self.dns.wait_for_port(management)
        self.program = None
        self.start()

    def start(self):
        strict = ["-strict"] if self.version == "newest" else []
        self.program = self.case.program("pebble", [executable(self.version), *strict, "-config", self.config, "-dnsserver",
                                                    f"{self.dns_address}:{self.dns_port}"], env=self.env)
        self.program.wait_for_port(self.port)
        self.program.wait_for_port(self.management_port)

    def stop(self):
        self.program.stop()

    def fetch(self, path):
        context = ssl.create_default_context(cafile=str(self.ca_bundle))
        with urllib.request.urlopen(f"https://127.0.0.1:{self.management_port}{path}", context=context) as answer:
            return answer.read().decode()

    def root(self):
        """A file with the root that its certificates end at: what a device would trust."""
        path = self.case.folder / "pebble-root.pem"
        path.write_text(self.fetch("/roots/0"))
        return path

    def root_name(self, number):
        """The common name of that root; 0 is the one of the default chain."""
        subject = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline"], check=True, text=True,
                                 input=self.fetch(f"/roots/{number}"), capture_output=True).stdout
        return subject.split("commonName")[1].split("=")[1].splitlines()[0].strip()

    def count(self, text):
        """How often its log says so."""
        return self.program.output().count(text)

    def orders(self):
        """How often an order was asked for."""
        return self.count("POST /order-plz")

    def orders_made(self):
        """The same without requests that were refused, for their nonces or else."""
        return self.count("Added order")
