#!/usr/bin/env python3
"""run.py [-n RUNS] [--agent PATH] [SCENARIO...] [CLIENT...]: acme-agent beside the least that a client can do (floor), a
program with its libraries that fetches one page (control), and whatever other ACME clients are installed.

All of them talk to Pebble on this machine and take turns, so that the ratios of one run can be compared. It builds our
programs and installs nothing. As root: the test CA shows among the system's roots, for us alone, and Mosquitto runs as its
own user.

What a client waits for its files depends on the disk: state folders lie below $TMPDIR.

Scenarios: first (issuance with a new account), names (the same with 10 and 100 names), renew (forced), due, noop (nothing to do), idle (memory), proof (from the
rename in the broker's folder to the proof that Mosquitto serves the new certificate), many (ten thousand certificates in one
agent, and the first issuance of 200). All of them by default.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import clients as known  # noqa: E402
from report import Report  # noqa: E402
from stage import Bench, FastPebble, Relay  # noqa: E402
from support import fleet, programs  # noqa: E402
from support.agent import Agent, runs_on  # noqa: E402
from support.mosquitto import Mosquitto  # noqa: E402

SCENARIOS = ("first", "names", "renew", "due", "noop", "idle", "proof", "many")
FLEET = 10_000
SHORT_LIFETIME = 6  # seconds; for every client a certificate is due a moment before its end
SLOW = 2  # seconds
SAFE_IN_PARALLEL = 2000  # of several thousand orders two meet so that Pebble 2.10 locks itself up, one way round each


class Benchmark:
    def __init__(self, options, bench, clients):
        self.options, self.bench, self.clients = options, bench, clients
        self.runs = []
        self.held = {}  # (client, key): a task with a certificate
        self.walls = collections.defaultdict(list)
        self.keys = ["ec"] if options.smoke else ["ec", "rsa"]

    def note(self, scenario, key, name, result):
        self.runs.append({"scenario": scenario, "key": key, "client": name, **result})
        if "wall" in result:
            self.walls[name].append(result["wall"])
        said = f"{result['wall'] * 1e3:.1f} ms" if "wall" in result else "good" if result["ok"] else f"FAILED: {result['why']}"
        print(f"{scenario} {key} {name}: {said}", file=sys.stderr, flush=True)

    def turns(self, clients, keys):
        """First run of every client, second run of every client, and so on."""
        for turn in range(self.options.n):
            for client in clients:
                if turn < self.options.slow_n or statistics.median(self.walls[client.name] or [0]) <= SLOW:
                    yield from ((client, key) for key in keys)

    def with_certificate(self, clients, keys):
        """Those clients that get a certificate, to have something to renew."""
        for client in clients:
            for key in keys:
                if (client, key) not in self.held:
                    task = self.bench.task(client, key)
                    result = self.bench.run(client, task, *client.issue(task))
                    if not result["ok"]:
                        print(f"{client.name} gets no certificate: {result['why']}", file=sys.stderr)
                        continue
                    self.held[client, key] = task
        return [client for client in clients if all((client, key) in self.held for key in keys)]

    def issuers(self):
        return [client for client in self.clients if client.name != "control"]

    def first(self):
        for client, key in self.turns(self.issuers(), self.keys):
            task = self.bench.task(client, key)
            result = self.bench.run(client, task, *client.issue(task))
            self.note("first", key, client.name, result)
            if result["ok"]:
                self.held[client, key] = task

    def names(self):
        for client, count in self.turns([client for client in self.clients if client.takes_names], (10, 100)):
            task = self.bench.task(client, "ec", names=count)
            self.note(f"{count} names", "ec", client.name, self.bench.run(client, task, *client.issue(task)))

    def renew(self):
        for client, key in self.turns(self.with_certificate(self.issuers(), self.keys), self.keys):
            task = self.held[client, key]
            self.note("renew", key, client.name, self.bench.run(client, task, client.renew(task)))

    def due(self):
        stage = self.bench.beside("short")
        pebble = FastPebble(stage, self.options.pebble, http_port=self.bench.http_port, lifetime=SHORT_LIFETIME)
        tasks, last = {}, {}
        for client in self.issuers():
            for key in self.keys:
                task = self.bench.task(client, key, pebble.url)
                if client.due(task) and self.bench.run(client, task, *client.issue(task), pebble=pebble)["ok"]:
                    tasks[client, key], last[client, key] = task, time.monotonic()
        renewing = [c for c in self.issuers() if all((c, key) in tasks for key in self.keys)]
        for client, key in self.turns(renewing, self.keys):
            time.sleep(max(0, last[client, key] + SHORT_LIFETIME - time.monotonic()))
            task = tasks[client, key]
            self.note("due", key, client.name, self.bench.run(client, task, client.due(task), pebble=pebble))
            last[client, key] = time.monotonic()
        stage.end()

    def noop(self):
        having = self.with_certificate(self.issuers(), ["ec"])
        asked = [c for c in self.clients if c.name == "control" or (c in having and c.noop(self.held[c, "ec"]))]
        for client, key in self.turns(asked, ["ec"]):
            task = self.held.get((client, key)) or self.bench.task(client, key)
            self.note("noop", key, client.name, self.bench.run(client, task, client.noop(task), want=False,
                                                               codes=client.quiet_codes))

    def count_connections(self, scenarios):
        """Once more for each, through a relay that counts; such a run is no time."""
        relay = Relay(self.bench.pebble.port)
        for client in self.clients:
            task = self.bench.task(client, "ec", f"https://localhost:{relay.port}/dir")
            for scenario, commands in (("first", lambda: client.issue(task)), ("renew", lambda: [client.renew(task)]),
                                       ("noop", lambda: [client.noop(task)])):
                if client.name == "control" and scenario != "noop" or scenario == "noop" and not client.noop(task):
                    continue
                before = relay.connections
                quiet = scenario == "noop"
                result = self.bench.run(client, task, *commands(), want=not quiet, codes=client.quiet_codes if quiet else (0,))
                if not result["ok"]:
                    break
                if scenario in scenarios:
                    self.runs.append({"scenario": scenario, "key": "ec", "client": client.name, "ok": True, "counted": True,
                                      "connections": relay.connections - before})

    def idle(self):
        """Each alone, one after the other: memory that is shared counts for nobody else."""
        self.with_certificate([c for c in self.clients if c.name == "acme-agent"], ["ec"])
        page, port = programs.free_port(), programs.free_port()
        broker = programs.Program(["mosquitto", "-p", port], self.bench.folder / "broker.log")
        shown, told = ["--status-listen", f"127.0.0.1:{page}"], ["--mqtt", f"mqtt://127.0.0.1:{port}"]
        for _ in range(min(self.options.n, 3)):
            for client in self.clients:
                fresh = self.bench.task(client, "ec")
                if client.name == "acme-agent":
                    held = self.held[client, "ec"]
                    for name, options in (("", []), (" with its page", shown), (" with a broker told", told), (" with both", shown + told)):
                        self._stays(f"acme-agent{name}", [*client.run(held), *options], lambda: runs_on(held.state))
                    self._stays("acme-agent that has just issued", client.run(fresh), lambda: self._has_issued(client, fresh))
                elif client.name == "control":
                    self._stays("control", [*client.noop(fresh), "--stay"], lambda: self.last_program.output())
                elif client.is_daemon:
                    self._stays(client.name, client.run(fresh), lambda: self._has_issued(client, fresh),
                                client.environment(fresh))
        broker.stop()

    def _has_issued(self, client, task):
        return any(path.is_file() for path in task.state.glob(client.certificates))

    def _stays(self, name, command, is_ready, environment=None):
        program = self.last_program = programs.Program(command, self.bench.folder / "idle.log",
                                                       env=programs.environment(**(environment or {})))
        try:
            programs.eventually(is_ready, 30, f"{name} getting ready")
            time.sleep(0.1 if self.options.smoke else 2)  # whatever it does after that is done
            self.note("idle", "", name, {"ok": True, **{f"{name.lower()}_kb": kib for name, kib in programs.memory_of(program.pid).items()
                                                        if name in ("Pss", "Rss", "Anonymous")}})
        finally:
            program.stop()
            program.log.unlink()

    def proof(self):
        stage = self.bench.beside("broker")
        pebble = FastPebble(stage, self.options.pebble)
        broker = Mosquitto(stage, stage.folder / "certs")
        agent = Agent(stage, pebble, broker.port, reload=f"process:{broker.comm}")
        code, output = agent.once(probe="none", reload="none", owner="root:mosquitto")
        assert code == 0, output
        broker.start()
        agent.once()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for _ in range(self.options.n):
            code, output = agent.renew("--force")
            # Both stamps are the kernel's, so nobody looks on: the rename is the link's last change, and the record is
            # written as soon as the outcome is known.
            renamed = (stage.folder / "certs/..data").lstat().st_ctime_ns
            recorded = (agent.certificate_state / "record.json").stat().st_mtime_ns
            if code == 0 and broker.served() == agent.leaf() and recorded >= renamed:
                self.note("proof", "", "acme-agent", {"ok": True, "wall": (recorded - renamed) / 1e9})
            else:
                self.note("proof", "", "acme-agent", {"ok": False, "why": f"code {code}: {output}"})
            began = time.monotonic()
            with socket.create_connection(("127.0.0.1", broker.port)) as connection:
                with context.wrap_socket(connection, server_hostname=agent.name):
                    took = time.monotonic() - began
            self.note("proof", "", "one bare handshake", {"ok": True, "wall": took})
        stage.end()

    def many(self):
        self._issue_many()
        stage = self.bench.beside("many")
        count = 200 if self.options.smoke else FLEET
        configs = {}
        for each in (1, count):
            state = stage.folder / f"state-{each}"
            configs[each] = stage.folder / f"{each}.conf"
            fleet.configure(configs[each], state, fleet.make(state, each))
            self._measured([self.bench.agent_path, "--once", "--quiet", "--config", configs[each]])  # it gets to know them
        for _ in range(min(self.options.n, 3)):
            alone, together = (self._start(stage, configs[each]) for each in (1, count))
            self.note("many", "", f"start-up with {count}", {"ok": True, "wall": together["wall"], "cpu": together["cpu"]})
            each = (together["anonymous"] - alone["anonymous"]) * 1024 / count
            pss = (together["pss"] - alone["pss"]) * 1024 / count
            self.note("many", "", f"memory of each of {count}", {"ok": True, "bytes": each, "pss": pss})
            for name, words in ((f"a pass with nothing to do over {count}", ["--once"]), (f"status of {count}", ["status", "--json"])):
                self.note("many", "", name, self._measured([self.bench.agent_path, *words, "--config", configs[count]]))
        stage.end()

    def _issue_many(self):
        """Each with a Pebble of its own, as that searches all that it knows for every order; accounts are there before."""
        first, *names = [fleet.NAME % i for i in range(self.options.many + 1)]
        placeholders = "acme-agent with placeholders"
        for name in ("floor", "acme-agent", placeholders):
            stage = self.bench.beside(f"issue-{name.replace(' ', '-')}")
            pebble = FastPebble(stage, self.options.pebble, http_port=self.bench.http_port, lifetime=90 * 86400)
            task = self.bench.task(self.clients[0], "ec", pebble.url)
            config = task.state / "many.conf"

            def command(wanted):
                if name == "floor":
                    return [self.bench.tools / "floor", "many", task.server, task.ca_file, task.http_port, task.state, "ec", *wanted]
                fleet.configure(config, task.state, wanted, f"ca-bundle = {task.ca_file}",
                                f"http-listen = 127.0.0.1:{task.http_port}", "log-level = warning",
                                f"placeholder = {'yes' if name == placeholders else 'no'}",
                                f"workers = {1 if len(names) > SAFE_IN_PARALLEL else 4}", server=task.server)
                return [self.bench.agent_path, "--once", "--config", config]
            self._measured(command([first]))
            before = programs.cpu_of(pebble.program.pid)
            result = self._measured(command(names))
            result["server"] = programs.cpu_of(pebble.program.pid) - before
            self.note("many", "", f"first issuance of {len(names)}, {name}", result)
            stage.end()

    def _measured(self, command):
        """A run to its end, however long."""
        figures = self.bench.folder / "figures.json"
        code, output = programs.run([self.bench.tools / "measure", figures, *command], 7200)
        seen = json.loads(figures.read_text())
        if code or seen["code"]:
            return {"ok": False, "why": f"code {seen['code']}: {output[-600:]}"}
        return {"ok": True, "wall": seen["wall"], "cpu": seen["user"] + seen["system"]}

    def _start(self, stage, config):
        """A daemon until it is ready and at rest: how long that took, and the memory in KiB."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            address = stage.folder / "notify"
            address.unlink(missing_ok=True)
            manager.bind(str(address))
            manager.settimeout(120)
            began = time.monotonic()
            program = programs.Program([self.bench.agent_path, "--quiet", "--config", config], stage.folder / "agent.log",
                                       env=programs.environment(NOTIFY_SOCKET=address))
            try:
                assert b"READY=1" in manager.recv(4096), "it says something else than READY=1"
                wall = time.monotonic() - began
                cpu = None
                while cpu != (cpu := programs.cpu_of(program.pid)):
                    time.sleep(0.5)
                memory = programs.memory_of(program.pid)
                return {"wall": wall, "cpu": cpu, "anonymous": memory["Anonymous"], "pss": memory["Pss"]}
            finally:
                program.stop()


def first_line(command):
    try:
        _, output = programs.run(command, 20, env=programs.environment(HOME="/nonexistent"))
    except (OSError, AssertionError):
        return "version unknown"
    return next((line.strip() for line in output.splitlines() if line.strip()), "version unknown")


def debian_version(package):
    return first_line(["dpkg-query", "-W", "-f", "${Version}", package])


def version_of(client):
    from_debian = client.package and programs.run(["dpkg-query", "-S", client.program])[0] == 0
    return debian_version(client.package) if from_debian else first_line([client.program, "--version"])


def pebble_version(which):
    if which == "debian":
        return debian_version("pebble")
    changes = ROOT / "build/newest/usr/share/doc/pebble/changelog.Debian.gz"
    return re.search(r"\((.*?)\)", first_line(["zcat", changes])).group(1)


def libraries(program):
    _, output = programs.run(["ldd", program])
    return set(re.findall(r"^\s*(\S+) =>", output, re.M))


def circumstances(options, clients):
    cpu = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {"machine": f"{os.cpu_count()} x {cpu.group(1) if cpu else platform.machine()}, Linux {platform.release()}",
            "load": f"{os.getloadavg()[0]:.1f} at the beginning",
            "runs": options.n, "roots": options.roots, "disk": first_line(["findmnt", "-n", "-o", "FSTYPE", "-T", tempfile.gettempdir()]),
            "programs": {"Pebble": pebble_version(options.pebble), "Mosquitto": debian_version("mosquitto"),
                         "OpenSSL": first_line(["openssl", "version"]),
                         **{c.name: version_of(c) for c in clients if c.name not in ("floor", "control")}}}


def build(options):
    """Our own programs, in the release build."""
    targets = ["floor", "control", "measure", *([] if options.agent else ["acme-agent"])]
    for command in (["cmake", "--preset", "release", "-DACME_AGENT_BENCH=ON"], ["cmake", "--build", "--preset", "release", "--target", *targets]):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(done.stdout)
    return ROOT / "build/release"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=9, help="runs of each client in each scenario (9)")
    parser.add_argument("--slow-n", type=int, help=f"runs of a client that takes longer than {SLOW} s (as -n)")
    parser.add_argument("--agent", type=pathlib.Path, help="measure this one (build/release/acme-agent)")
    parser.add_argument("--build-folder", type=pathlib.Path, help="take floor and control from there, and build nothing")
    parser.add_argument("--pebble", choices=["newest", "debian"], help="the newest where tests/run.sh fetched it")
    parser.add_argument("--roots", choices=["bundle", "one", "system"], default="bundle",
                        help="clients get a file with the system's roots and the test CA, one with the test CA alone, or "
                             "look into /etc/ssl/certs by themselves")
    parser.add_argument("--many", type=int, default=200, metavar="N", help="many: certificates of the first issuance (200)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="every single run")
    parser.add_argument("--smoke", action="store_true", help="does it work? One run of our own programs, nothing is judged")
    parser.add_argument("words", nargs="*", metavar="SCENARIO|CLIENT")
    options = parser.parse_args()
    if options.smoke:
        options.n, options.roots, options.many = 1, "one", 20
    options.slow_n = options.slow_n or options.n
    if not options.pebble:
        options.pebble = "newest" if (ROOT / "build/newest/usr/bin/pebble").exists() else "debian"
    if os.geteuid() != 0:
        parser.error("this runs as root: the test CA shows among the system's roots, and Mosquitto runs as its own user")
    return parser, options


def main():
    parser, options = arguments()
    folder = options.build_folder or build(options)
    tools = folder / "tests/bench"
    agent = (options.agent or folder / "acme-agent").resolve()
    clients = [known.AcmeAgent(agent), known.Floor(tools / "floor"), known.Control(tools / "control")]
    for client in clients:
        if not client.program.exists():
            parser.error(f"there is no {client.program}")
    peers = [] if options.smoke else [kind() for kind in known.PEERS]
    names = [c.name for c in clients + peers]
    for word in options.words:
        if word not in names and word not in SCENARIOS:
            parser.error(f"{word} is no scenario ({', '.join(SCENARIOS)}) and no client ({', '.join(names)})")
    scenarios = [s for s in SCENARIOS if s in options.words] or SCENARIOS
    if any(name in options.words for name in names):
        clients = [c for c in clients if c.name in options.words]
        peers = [c for c in peers if c.name in options.words]
    for peer in peers:
        if not peer.program:
            print(f"missing: {peer.name}; it comes with {peer.package}" if "," in peer.package else
                  f"missing: {peer.name}; apt-get install --no-install-recommends {peer.package}")
    lacking = libraries(agent) - libraries(tools / "control")
    if lacking:
        sys.exit(f"the control program does not load {', '.join(sorted(lacking))}, so it is no measure for acme-agent")

    programs.RUN_ID = os.environ.get(programs.RUN, programs.RUN_ID)  # those who started us find what we started
    run_folder = pathlib.Path(tempfile.mkdtemp(prefix="acme-agent-bench-"))
    run_folder.chmod(0o755)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bench = None
    try:
        bench = Bench(run_folder, tools, agent, options.pebble, options.roots)
        for peer in peers:
            if peer.program and not (peer.knows_ca_option or bench.test_roots.in_system):
                print(f"left out: {peer.name}; it trusts the system's roots only, and no mount namespace is allowed here")
            elif peer.program:
                clients.append(peer)
        about = circumstances(options, clients)
        benchmark = Benchmark(options, bench, clients)
        for scenario in scenarios:
            getattr(benchmark, scenario)()
        if set(scenarios) & {"first", "renew", "noop"}:
            benchmark.count_connections(scenarios)
    finally:
        if bench:
            bench.end()
        shutil.rmtree(run_folder, ignore_errors=True)

    if options.json:
        options.json.write_text(json.dumps({**about, "results": benchmark.runs}, indent=1) + "\n")
    print(f"\n{about['machine']}; load {about['load']}; medians of {about['runs']}; roots: {about['roots']}; "
          f"state folders on {about['disk']}")
    for name, version in about["programs"].items():
        print(f"  {name}: {version}")
    print()
    report = Report(benchmark.runs)
    report.tables()
    if not options.smoke:
        report.verdicts()
    failed = [r for r in benchmark.runs if not r["ok"] and r["client"] in ("acme-agent", "floor", "control")]
    print(f"{sum(r['ok'] for r in benchmark.runs)} runs were good, {sum(not r['ok'] for r in benchmark.runs)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
