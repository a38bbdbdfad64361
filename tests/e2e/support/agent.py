"""acme-agent itself: its options, runs of it, and what can be seen of it from outside."""

import datetime
import json
import os
import pathlib
import re
import socket

from support import programs, tls

EXIT_GOOD, EXIT_BAD, EXIT_USAGE, EXIT_NOT_SERVED = 0, 1, 2, 3


class Agent:
    """One state folder and one broker's folder. Options are given by keyword: `key_type="ec256"` is `--key-type ec256`;
    None takes one away, a list repeats it."""

    def __init__(self, case, pebble=None, broker_port=None, name="mydyn.example", user=None, **options):
        self.case = case
        self.name = name
        self.user = user
        self.prefix = []  # of its command line
        self.state = case.folder / "state"
        self.cert_dir = case.folder / "certs"
        self.empty_config = case.folder / "empty.conf"
        self.empty_config.touch()
        self.options = {"domain": name, "state_dir": self.state, "cert_dir": self.cert_dir, "reload": "none",
                        "probe": f"localhost:{broker_port}" if broker_port else "none"}
        if pebble:
            self.use(pebble)
        self.options.update(options)
        self._starts = 0

    def use(self, pebble):
        self.prefix = getattr(pebble, "prefix", [])
        self.options.update(server=pebble.url, ca_bundle=pebble.ca_bundle, http_listen=f"127.0.0.1:{pebble.http_port}",
                            alpn_listen=f"127.0.0.1:{pebble.tls_port}")

    def arguments(self, **changes):
        result = [] if "config" in {**self.options, **changes} else ["--config", self.empty_config]
        for key, value in {**self.options, **changes}.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    result += ["--" + key.replace("_", "-"), one]
        return result

    def run(self, *words, seconds=60, env=None, **changes):
        """`acme-agent WORDS OPTIONS` to its end: exit code and output."""
        code, output = programs.run([*self.prefix, self.case.agent_path, *words, *self.arguments(**changes)], seconds,
                                    env=env or agent_environment(), user=self.user)
        with (self.case.folder / "agent-runs.log").open("a") as log:
            log.write(f"$ acme-agent {' '.join(map(str, words))} → {code}\n{output}")
        refuse_sanitizer_reports(output)
        return code, output

    def on_terminal(self, *words, prompt, answer, **changes):
        """The same on a terminal, where `answer` is typed when `prompt` stands there."""
        return programs.run_on_terminal([self.case.agent_path, *words, *self.arguments(**changes)], prompt, answer,
                                        env=agent_environment())

    def once(self, **more):
        return self.run("--once", **more)

    def renew(self, *words, **more):
        return self.run("renew", self.name, *words, **more)

    def start(self, *words, log=None, env=None, **changes):
        """The daemon, ready to be talked to; with words, that command in the background."""
        self._starts += 1
        program = self.case.program(log or f"agent-{self._starts}",
                                    [*self.prefix, self.case.agent_path, *words, *self.arguments(**changes)],
                                    env=env or agent_environment(), user=self.user)
        if not words:
            programs.eventually(lambda: self.is_running() or not program.running, 20, "the agent's control socket")
        return program

    def is_running(self):
        return runs_on(self.state)

    def status(self):
        code, output = programs.run([self.case.agent_path, "status", "--json", *self.arguments()], user=self.user,
                                    env=agent_environment())
        try:
            found = json.loads(output)["certificates"]
        except (ValueError, KeyError):
            raise AssertionError(f"status --json ended with {code} and this: {output}") from None
        return next(one for one in found if one["name"] == self.name)

    def wait_until(self, check, seconds=30, what="the state"):
        """Waits until `check` likes what `status --json` says."""
        def seen():
            status = self.status()
            return status if check(status) else None
        return programs.eventually(seen, seconds, what)

    def wait_until_valid(self, seconds=30):
        return self.wait_until(lambda s: s["state"] == "valid" and s["deploy"]["ok"], seconds, "a certificate in place")

    @property
    def certificate_state(self):
        return self.state / "certificates" / self.name

    def record(self):
        return json.loads((self.certificate_state / "record.json").read_text())

    def leaf(self):
        """SHA-256 of the leaf in the broker's folder."""
        return tls.sha256_of(self.cert_dir / "fullchain.pem")

    def held_leaf(self):
        return tls.sha256_of(next(f for f in sorted((self.certificate_state / "held").iterdir()) if "chain" in f.name))

    def allow(self, user):
        """Makes the folders ones that this unprivileged user may write."""
        self.user = user
        for folder in (self.state, self.cert_dir):
            folder.mkdir(exist_ok=True)
            os.chown(folder, *programs.ids_of(user))
        return self


def runs_on(state):
    """Whether an agent answers for this state folder."""
    with socket.socket(socket.AF_UNIX) as control:
        return control.connect_ex(str(state / "control.sock")) == 0


def agent_environment(**more):
    return programs.environment(TZ="UTC", ASAN_OPTIONS="abort_on_error=0:detect_stack_use_after_return=1",
                                UBSAN_OPTIONS="print_stacktrace=1", TSAN_OPTIONS="second_deadlock_stack=1:atexit_sleep_ms=0", **more)


def span_of_day(begin, end):
    """From so many hours after now to so many, as --restart-window has it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return "-".join((now + datetime.timedelta(hours=hours)).strftime("%H:%M") for hours in (begin, end))


def refuse_sanitizer_reports(output):
    found = re.search(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:).*", output)
    if found:
        raise AssertionError(f"a sanitizer found something: {output[found.start():found.start() + 4000]}")


def contents(folder):
    """Every file below `folder` with its bytes and mode, links as links: what must stay as it was."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)):
            ("link", str(path.readlink())) if path.is_symlink() else (oct(path.stat().st_mode), path.read_bytes())
            for path in sorted(folder.rglob("*")) if (path.is_symlink() or path.is_file()) and path.name != ".acme-agent.lock"}


def public_key(certificate):
    """SHA-256 of the public key in a PEM file: the same if the private key was kept."""
    code, output = programs.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"])
    assert code == 0, output
    return output


def key_kind(certificate):
    _, text = programs.run(["openssl", "x509", "-in", certificate, "-noout", "-text"])
    return re.search(r"Public-Key: \((\d+) bit\)", text).group(1)
