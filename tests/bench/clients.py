"""The ACME clients that are measured: one small class each, which knows how to say things to one program.

A command is a list of words; `issue` may return several, which are run one after the other. The responder for HTTP-01 is
the client's own, unless `needs_webroot`.
"""

import dataclasses
import json
import pathlib
import shutil


@dataclasses.dataclass
class Task:
    """What a client works on: a folder of its own, with one account and one certificate."""
    state: pathlib.Path
    key: str  # "ec" or "rsa"
    name: str
    server: str
    http_port: int
    webroot: pathlib.Path
    ca_file: pathlib.Path
    roots: str  # "bundle", "one" or "system": there, clients that can find roots in /etc/ssl/certs by hash do so
    more_names: tuple = ()

    @property
    def names(self):
        return self.name, *self.more_names

    def pick(self, ec, rsa):
        return {"ec": ec, "rsa": rsa}[self.key]


class Client:
    package = None  # what apt calls it; None: it is ours
    certificates = ""  # glob below the state folder: what must have been written for a success
    needs_webroot = False
    is_daemon = False  # `issue` stays in the foreground, and is ended when the certificate is there
    knows_ca_option = True
    takes_names = False  # more than one in an order, as we call it
    quiet_codes = (0,)  # how a pass with nothing to do ends

    def __init__(self, program=None):
        self.name = type(self).__name__.lower()
        self.program = program or shutil.which(self.name)

    def prepare(self, task):
        """Writes the files that it wants to see before its first run."""

    def environment(self, task):
        return {}

    def issue(self, task):
        raise NotImplementedError

    def renew(self, task):
        """Renews by force, or where it knows no force, as near as it gets."""
        raise NotImplementedError

    def due(self, task):
        """Renews what is due; also with nothing due, `noop`. None: it has no such pass."""
        return None

    def noop(self, task):
        return self.due(task)


class AcmeAgent(Client):
    certificates = "live/*/fullchain.pem"
    takes_names = True

    def __init__(self, program):
        super().__init__(program)
        self.name = "acme-agent"

    def prepare(self, task):
        (task.state / "empty.conf").touch()

    def options(self, task):
        roots = [] if task.roots == "system" else ["--ca-bundle", task.ca_file]
        domains = [word for name in task.names for word in ("--domain", name)]
        return ["--config", task.state / "empty.conf", "--state-dir", task.state, *domains, *roots,
                "--server", task.server, "--http-listen", f"127.0.0.1:{task.http_port}", "--reuse-key", "no",
                "--key-type", task.pick("ec256", "rsa2048"), "--reload", "none", "--probe", "none"]

    def run(self, task):
        return [self.program, "run", *self.options(task)]

    def issue(self, task):
        return [[self.program, "--once", *self.options(task)]]

    def renew(self, task):
        return [self.program, "renew", task.name, "--force", *self.options(task)]

    def due(self, task):
        return self.issue(task)[0]


class Floor(Client):
    certificates = "chain.pem"
    takes_names = True

    def issue(self, task):
        roots = "/etc/ssl/certs" if task.roots == "system" else task.ca_file
        return [[self.program, "issue", task.server, roots, task.http_port, task.state, task.key, *task.names]]

    def renew(self, task):
        return self.issue(task)[0]

    def due(self, task):
        return self.renew(task)

    def noop(self, task):
        return [self.program, "look", task.state]


class Control(Client):
    """Only fetches a page: beside a pass with nothing to do, and as the measure of memory."""

    def noop(self, task):
        roots = [] if task.roots == "system" else ["--ca-file", task.ca_file]
        return [self.program, "--url", task.server, *roots]


class Certbot(Client):
    package = "certbot"
    certificates = "live/*/cert.pem"

    def environment(self, task):
        return {"REQUESTS_CA_BUNDLE": task.ca_file}

    def folders(self, task):
        return ["-n", "-q", "--config-dir", task.state, "--work-dir", task.state / "work", "--logs-dir", task.state / "logs"]

    def issue(self, task):
        key = task.pick(["--key-type", "ecdsa", "--elliptic-curve", "secp256r1"],
                        ["--key-type", "rsa", "--rsa-key-size", "2048"])
        return [[self.program, "certonly", *self.folders(task), *key, "--server", task.server, "--agree-tos",
                 "--register-unsafely-without-email", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port",
                 task.http_port, "-d", task.name]]

    def renew(self, task):
        return [*self.due(task), "--force-renewal"]

    def due(self, task):
        return [self.program, "renew", *self.folders(task), "--no-random-sleep-on-renew"]


class Lego(Client):
    package = "lego"
    certificates = "certificates/*.key"

    def environment(self, task):
        return {"LEGO_CA_CERTIFICATES": task.ca_file}

    def options(self, task):
        return [self.program, "--server", task.server, "--accept-tos", "--email", "bench@example.test", "--path", task.state,
                "--key-type", task.pick("ec256", "rsa2048"), "--http", "--http.port", f"127.0.0.1:{task.http_port}",
                "--domains", task.name]

    def issue(self, task):
        return [[*self.options(task), "run"]]

    def renew(self, task):
        return [*self.due(task), "--days", "400"]

    def due(self, task):
        return [*self.options(task), "renew", "--no-random-sleep"]


class Uacme(Client):
    package = "uacme"
    certificates = "*/cert.pem"
    needs_webroot = True
    knows_ca_option = False
    quiet_codes = (1,)

    def prepare(self, task):
        hook = task.state / "hook"
        hook.write_text(f"""#!/bin/sh
[ "$2" = http-01 ] || exit 1
file={task.webroot}/.well-known/acme-challenge/$4
if [ "$1" = begin ]; then printf %s "$5" >"$file"; else rm -f "$file"; fi
""")
        hook.chmod(0o755)

    def options(self, task):
        return [self.program, "-a", task.server, "-c", task.state]

    def order(self, task, *more):
        key = task.pick(["-t", "EC", "-b", "256"], ["-t", "RSA", "-b", "2048"])
        return [*self.options(task), *key, *more, "-h", task.state / "hook", "issue", task.name]

    def issue(self, task):
        return [[*self.options(task), "-y", "-t", "EC", "-b", "256", "new"], self.order(task)]

    def renew(self, task):
        return self.order(task, "-f")

    def due(self, task):
        return self.order(task)


class Dehydrated(Client):
    package = "dehydrated"
    certificates = "certs/*/cert.pem"
    needs_webroot = True

    def environment(self, task):
        return {"CURL_CA_BUNDLE": task.ca_file}

    def prepare(self, task):
        (task.state / "domains.txt").write_text(task.name + "\n")
        (task.state / "config").write_text(f"""CA={task.server}
BASEDIR={task.state}
WELLKNOWN={task.webroot}/.well-known/acme-challenge
KEY_ALGO={task.pick("prime256v1", "rsa")}
KEYSIZE=2048
PRIVATE_KEY_RENEW=yes
""")

    def options(self, task):
        return [self.program, "-f", task.state / "config"]

    def issue(self, task):
        return [[*self.options(task), "--register", "--accept-terms"], self.due(task)]

    def renew(self, task):
        return [*self.due(task), "-x"]

    def due(self, task):
        return [*self.options(task), "-c"]


class Acmetool(Client):
    package = "acmetool"
    certificates = "live/*/cert"

    def environment(self, task):
        return {"SSL_CERT_FILE": task.ca_file}

    def prepare(self, task):
        for folder in ("conf", "hooks"):
            (task.state / folder).mkdir()
        # Its test of itself would fetch http://NAME/ from port 80.
        (task.state / "conf/target").write_text(f"""request:
  provider: {task.server}
  key: {{{task.pick("type: ecdsa, ecdsa-curve: nistp256", "type: rsa, rsa-size: 2048")}}}
  challenge: {{http-ports: ["127.0.0.1:{task.http_port}"], http-self-test: false}}
""")
        (task.state / "conf/responses").write_text(f"""acme-enter-email: bench@example.test
"acme-agreement:data:text/plain,Do%20what%20thou%20wilt": true
acmetool-quickstart-choose-server: {task.server}
acmetool-quickstart-choose-method: listen
""")

    def options(self, task):
        return [self.program, f"--state={task.state}", f"--hooks={task.state / 'hooks'}", "--batch"]

    def issue(self, task):
        return [[*self.options(task), "want", task.name]]

    def renew(self, task):
        # It knows no force: what it has is taken away.
        for folder in ("certs", "live"):
            shutil.rmtree(task.state / folder)
            (task.state / folder).mkdir()
        return self.due(task)

    def due(self, task):
        return [*self.options(task), "reconcile"]


class AcmeSh(Client):
    package = "its own installer (there is no Debian package), with socat"
    certificates = "*/fullchain.cer"

    def __init__(self):
        super().__init__(shutil.which("acme.sh"))
        self.name = "acme.sh"

    def environment(self, task):
        return {"CURL_CA_BUNDLE": task.ca_file, "HOME": task.state}

    def options(self, task):
        return [self.program, "--home", task.state, "--server", task.server]

    def issue(self, task):
        return [[*self.options(task), "--issue", "--standalone", "--httpport", task.http_port, "--keylength",
                 task.pick("ec-256", "2048"), "-d", task.name]]

    def renew(self, task):
        return [*self.options(task), "--renew", "--force", *task.pick(["--ecc"], []), "-d", task.name]

    def due(self, task):
        return [*self.options(task), "--cron"]


class Caddy(Client):
    """As an ACME client only: no web server of its own, no admin endpoint."""
    package = "caddy"
    certificates = "data/certificates/*/*/*.crt"
    is_daemon = True

    def environment(self, task):
        return {"HOME": task.state, "XDG_DATA_HOME": task.state, "XDG_CONFIG_HOME": task.state}

    def prepare(self, task):
        issuer = {"module": "acme", "ca": task.server, "email": "bench@example.test",
                  "trusted_roots_pem_files": [str(task.ca_file)],
                  "challenges": {"tls-alpn": {"disabled": True}, "http": {"alternate_port": task.http_port}}}
        policy = {"key_type": task.pick("p256", "rsa2048"), "issuers": [issuer]}
        (task.state / "caddy.json").write_text(json.dumps({
            "admin": {"disabled": True}, "logging": {"logs": {"default": {"level": "ERROR"}}},
            "storage": {"module": "file_system", "root": str(task.state / "data")},
            "apps": {"tls": {"certificates": {"automate": [task.name]}, "automation": {"policies": [policy]}}}}))

    def run(self, task):
        return [self.program, "run", "--config", task.state / "caddy.json"]

    def issue(self, task):
        return [self.run(task)]

    def renew(self, task):
        # It knows no force: the certificate is taken away, the account stays.
        shutil.rmtree(task.state / "data/certificates")
        return self.run(task)

    def noop(self, task):
        return None


PEERS = [Certbot, Lego, Uacme, Dehydrated, Acmetool, AcmeSh, Caddy]
