"""Each call that changes files, during a first issuance and during a renewal: in one run SIGKILL comes instead of it, in
another it fails as on a full, a broken or a read-only disk. The pair that stands fits, the broker serves it or the one before,
and the next run ends well.

The errors take turns, each call of a kind meets the next one; with --long, each call meets each error.
"""

import collections
import os
import re
import shutil
import signal
import ssl
import subprocess

from support import programs, strace, tls
from support.case import ServedCase
from support.skips import skip

# What file systems return, those of the network and those that copy on write among them.
NAMES = ["ENOSPC", "EIO", "EROFS", "EDQUOT"]
CONTENT = ["EIO", "ENOSPC", "EDQUOT"]
REMOVAL = ["EROFS", "EIO", "ENOSPC"]
ERRORS = {"openat": ["EMFILE", *NAMES], "write": CONTENT, "pwrite64": CONTENT, "ftruncate": REMOVAL, "fsync": CONTENT,
          "rename": NAMES, "symlink": NAMES, "mkdir": NAMES, "unlink": REMOVAL, "unlinkat": REMOVAL, "rmdir": REMOVAL,
          "chmod": NAMES, "fchmod": NAMES, "fchown": NAMES, "flock": ["EIO"], "open folder": ["EMFILE", "EIO"],
          "read": ["EMFILE", "EIO"]}
REASONS = {"ENOSPC": "no space left", "EIO": "input/output error", "EROFS": "read-only", "EDQUOT": "quota",
           "EMFILE": "too many open files"}
KILL = "SIGKILL"


class Faulty(ServedCase):
    """Runs that something goes wrong in, and what has to hold after them."""

    in_memory = True
    agent_options = {"key_type": "ec256", "reuse_key": "no"}  # a torn pair would be seen by its key
    words = ["--once"]  # what goes wrong
    changes = {}

    def setUp(self):
        super().setUp()
        self.root = self.ca.root()

    def counts(self):
        """How many orders were made and how many finalized, and the serial numbers of all certificates so far."""
        log = self.ca.program.output()
        issued = [int(serial, 16) for serial in re.findall(r"Issued certificate serial (\w+)", log)]
        return log.count("POST /order-plz"), log.count("POST /finalize-order/"), issued

    def standing(self, told):
        """The serial number of the certificate in the broker's folder, 0 for a placeholder, None if no pair is there yet."""
        names = ("cert", "chain", "fullchain", "privkey", "combined")
        text = {name: file.read_text() for name in names if (file := self.me.cert_dir / f"{name}.pem").exists()}
        placeholder = text.get("fullchain", "").count("-----BEGIN CERTIFICATE-----") == 1
        if {"cert", "chain", "fullchain"} <= text.keys():
            whole = text["cert"] if placeholder else text["cert"] + text["chain"]
            self.assertEqual(text["fullchain"], whole, f"fullchain.pem is of another generation; {told}")
        if {"fullchain", "privkey", "combined"} <= text.keys():
            self.assertEqual(text["combined"], text["privkey"] + text["fullchain"], f"combined.pem is of another; {told}")
        if "fullchain" not in text or "privkey" not in text:
            return None
        pair = self.me.cert_dir / "fullchain.pem", self.me.cert_dir / "privkey.pem"
        try:
            if placeholder:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair)
                return 0
            return tls.handshake(*pair, self.root)
        except ssl.SSLError as error:
            self.fail(f"no broker could start with what stands there: {error}; {told}")

    def check_sentence(self, reason, names, code, output, told):
        """An error is told with the file, or its folder, and the reason."""
        if code == 0:  # it did not matter
            return
        lines = [line for line in output.splitlines() if reason in line.lower() and any(name in line for name in names)]
        self.assertTrue(lines, f"no line of this names one of {names} and says '{reason}'; {told}")

    def check_code(self, code, orders, told):
        nothing_done = self.counts()[0] == orders
        self.assertIn(code, (0, 1, 2, 3) if nothing_done else (0, 1, 3), told)

    def next_run(self, killed, told, **changes):
        """The next start after a crash; after an error, the next try."""
        code, output = self.me.once(**changes) if killed else self.me.renew(**changes)
        told += f"the next run:\n{output}"
        self.assertEqual(code, 0, told)
        return told

    def check_end(self, began, told):
        """What was ordered was issued once, by an order that was finalized once, and is served. The number of certificates."""
        _, finalized, issued = self.counts()
        new = issued[len(began[2]):]
        self.assertLessEqual(len(new), 1, f"a certificate was issued more than once; {told}")
        self.assertEqual(finalized - began[1], len(new), f"an order was finalized more than once; {told}")
        held = tls.sha256_of(self.me.certificate_state / "held/..data/fullchain.pem")
        self.assertEqual(self.me.leaf(), held, told)
        self.assertEqual(tls.verify(self.mqtt.port, self.root), held, told)
        if new:
            self.assertEqual(self.standing(told), new[0], told)
            pending = self.me.certificate_state / "pending"
            self.assertFalse((pending / "order.json").exists() and (pending / "key.pem").exists(), told)
        return len(new)


class Issuing(Faulty):
    """First issuances, each on empty folders and with a broker that starts as soon as there is something to start with."""

    changes = {"reload": "none", "probe": "none"}

    def prepare(self):
        pass

    def restore(self):
        if self.mqtt.program:
            self.mqtt.stop()
        for folder in (self.me.state, self.me.cert_dir):
            shutil.rmtree(folder, ignore_errors=True)

    def check_after(self, began, code, killed, told):
        """Where the pair that stands has come from."""
        stands = self.standing(told)
        self.assertIn(stands, [None, 0, *self.counts()[2][len(began[2]):]], told)
        if code == 0:
            self.assertTrue(stands, told)
        if stands is None:
            told = self.next_run(killed, told, **self.changes)
            self.mqtt.start()
        else:
            self.mqtt.start()
            self.assertEqual(self.mqtt.served(), self.me.leaf(), told)
            told = self.next_run(killed, told)
        self.assertEqual(self.check_end(began, told), 1, told)
        return "at once" if stands else "by the next run"


class Renewing(Faulty):
    """Renewals, each of the same pair, which a broker serves."""

    words = ["renew", "mydyn.example", "--force"]
    ca_options = {"authz_reuse": 100}
    reloads = False  # somebody else's, after every other run

    def prepare(self, renewals=3):
        """After three, old generations go."""
        self.serve()
        for _ in range(renewals):
            self.assertEqual(self.me.renew("--force")[0], 0)
        self.keep()

    def keep(self):
        self.before, self.serial = self.me.leaf(), self.standing("before")
        self.kept = self.folder / "kept"
        self.kept.mkdir()
        for folder in (self.me.state, self.me.cert_dir):
            subprocess.run(["cp", "-a", folder, self.kept], check=True)

    def restore(self):
        for folder in (self.me.state, self.me.cert_dir):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run(["cp", "-a", self.kept / folder.name, folder.parent], check=True)
        self.reload()
        self.assertEqual(self.mqtt.served(), self.before)

    def reload(self):
        """Somebody tells the broker, as logrotate does whenever it likes; a look makes it work that off."""
        os.kill(self.mqtt.program.pid, signal.SIGHUP)
        wanted = self.me.leaf()
        self.eventually(lambda: self.mqtt.served() == wanted, 5, "Mosquitto serving what stands")

    def check_after(self, began, code, killed, told):
        stands = self.standing(told)
        self.assertIn(stands, [self.serial, *self.counts()[2][len(began[2]):]], told)
        served = self.mqtt.served()
        self.assertIn(served, [self.before, self.me.leaf()], told)
        if code == 0:
            self.assertNotEqual(served, self.before, told)
        self.reloads = not self.reloads
        if self.reloads:
            self.reload()
        self.device.ping()
        told = self.next_run(killed, told)
        if self.check_end(began, told) == 0:
            self.assertEqual(self.standing(told), self.serial, told)
            return "nothing ordered"
        return "at once" if served != self.before else "by the next run"


class Replacing(Renewing):
    """Placeholders that a broker serves when the certificate comes at last. Here one thread alone writes the broker's folder
    and the order. Where two do, as strace counts for each of them, no fault comes to what the second does like the first."""

    words = ["renew", "mydyn.example"]

    def prepare(self):
        code, output = self.me.once(http_listen=f"127.0.0.1:{programs.free_port()}", reload="none", probe="none")
        self.assertEqual(code, 1, output)  # the server has asked at the other port
        self.mqtt.start()
        self.device = self.mqtt.hold_session()
        self.keep()

    def next_run(self, _, told):
        return super().next_run(False, told)  # the start after a crash would wait until the next try is due

    def wants(self, step):
        return any(folder in step.path for folder in (str(self.me.cert_dir), "/pending"))


class Steps:
    """One run for each step."""

    def wants(self, step):
        return step.path != str(self.me.empty_config)

    def plan(self, killed):
        """Step, kind of step and fault."""
        code, output, steps = strace.steps(self.me, self.folder, *self.words, **self.changes)
        self.assertEqual(code, 0, output)
        seen = collections.Counter()
        for step in steps:
            if not self.wants(step):
                continue
            kind = "open folder" if step.lists else "read" if step.only_reads else step.name
            self.assertIn(kind, ERRORS, "a kind of call that this test does not know yet")
            at = seen[kind]
            seen[kind] += 1
            changes = kind not in ("open folder", "read")
            if killed:
                faults = [KILL] if changes else []  # before those it is as good as before the next one
            elif self.long:
                faults = ERRORS[kind]
            else:
                turn, rest = divmod(at, 1 if changes else 4)
                faults = [] if rest else [ERRORS[kind][turn % len(ERRORS[kind])]]
            yield from ((step, kind, fault) for fault in faults)

    def check(self, killed):
        strace.require()
        self.prepare()
        self.restore()
        histogram, missed, failures = collections.defaultdict(collections.Counter), [], []
        for step, kind, fault in list(self.plan(killed)):
            told = f"{fault} at {step.text} (number {step.number}):\n"
            try:
                self.restore()
                began = self.counts()
                code, output, hit = strace.run_with_fault(self.me, step, fault, *self.words, **self.changes)
                told += output
                if not hit:
                    missed.append(told)
                    continue
                if not killed:
                    self.check_code(code, began[0], told)
                    path = step.path.split("$$")[0]
                    self.check_sentence(REASONS[fault], [path, path.rsplit("/", 1)[0]], code, output, told)
                histogram[kind][self.check_after(began, code, killed, told)] += 1
            except Exception as error:
                failures.append(str(error) if told in str(error) else f"{error!r}; {told}")
        total = sum(histogram.values(), collections.Counter())
        for kind, counts in [("killed" if killed else "failed", total), *sorted(histogram.items())]:
            ended = ", ".join(f"{how} {count}" for how, count in sorted(counts.items()))
            self.figures.append(f"{kind} {counts.total()}: {ended}")
        self.figures.append(f"not hit {len(missed)}")
        if failures:
            self.fail(f"{len(failures)} steps ended badly, the first of them so:\n" + "\n".join(failures[:3]))
        self.assertLessEqual(len(missed), total.total() // 50, "too many steps were not hit:\n" + "\n".join(missed[:3]))


class FirstIssuance(Steps, Issuing):
    def test_killed_at_any_step_it_leaves_no_torn_pair_and_the_next_start_ends_it(self):
        self.check(killed=True)

    def test_failing_at_any_step_it_says_so_leaves_no_torn_pair_and_is_ended_by_the_next_run(self):
        self.check(killed=False)


class Renewal(Steps, Renewing):
    def test_killed_at_any_step_the_old_pair_or_the_new_one_is_served_and_the_next_start_ends_it(self):
        self.check(killed=True)

    def test_failing_at_any_step_it_says_so_the_old_pair_or_the_new_one_is_served_and_the_next_run_ends_it(self):
        self.check(killed=False)


class Placeholder(Replacing, Steps):
    def test_killed_at_any_step_of_its_replacement_it_or_the_certificate_is_served_and_the_next_run_ends_it(self):
        self.check(killed=True)

    def test_failing_at_any_step_its_replacement_says_so_and_it_or_the_certificate_is_served_and_the_next_run_ends_it(self):
        self.check(killed=False)


class FullDisk:
    """One run for each number of free pages on the disk that holds state and broker's folder, from none to enough."""

    def setUp(self):
        super().setUp()
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0755", "tmpfs", self.disk],
                          stderr=subprocess.DEVNULL).returncode != 0:
            skip("no-mount")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk])
        self.me.state, self.me.cert_dir = self.disk / "state", self.disk / "certs"
        self.me.options.update(state_dir=self.me.state, cert_dir=self.me.cert_dir)
        self.mqtt.cert_dir = self.me.cert_dir
        self.mqtt.write_config()

    def run_with_pages(self, pages):
        filler = self.disk / "filler"
        room = os.statvfs(self.disk)
        filler.write_bytes(bytes((room.f_bfree - pages) * room.f_bsize))
        try:
            return self.me.run(*self.words, **self.changes)
        finally:
            filler.unlink()

    def check(self):
        ended = collections.Counter()
        for pages in range(60):
            self.restore()
            began = self.counts()
            code, output = self.run_with_pages(pages)
            told = f"with {pages} pages left:\n{output}"
            self.check_code(code, began[0], told)
            self.check_sentence(REASONS["ENOSPC"], [str(self.me.state), str(self.me.cert_dir)], code, output, told)
            ended[code, self.check_after(began, code, False, told)] += 1
            if code == 0:
                break
        self.figures.append(f"{pages} pages are enough; with less: " + ", ".join(
            f"exit code {code} and {how}: {count}" for (code, how), count in sorted(ended.items()) if code != 0))
        self.assertGreater(pages, 3, "the disk was not full")
        self.assertEqual(code, 0, "it was never enough")


class FirstIssuanceOnAFullDisk(FullDisk, Issuing):
    def test_with_any_number_of_pages_left_the_first_issuance_ends_well_once_there_is_room(self):
        self.check()


class RenewalOnAFullDisk(FullDisk, Renewing):
    def test_with_any_number_of_pages_left_the_old_pair_is_served_until_the_whole_new_one_fits(self):
        self.prepare(renewals=0)
        self.check()


class NoDescriptor(Renewing):
    def test_whatever_of_a_renewal_gets_no_descriptor_the_old_pair_or_the_new_one_is_served_and_the_next_run_ends_it(self):
        strace.require()
        self.prepare()
        ended = collections.Counter()
        for name in ("socket", "socketpair", "eventfd2", "signalfd4", "pidfd_open"):
            for number in range(1, 40):
                self.restore()
                began = self.counts()
                step = strace.Step(name, None, number)
                code, output, hit = strace.run_with_fault(self.me, step, "EMFILE", *self.words)
                if not hit:
                    break
                told = f"EMFILE for {name} number {number}:\n{output}"
                self.check_code(code, began[0], told)
                if code != 0 and "cannot reach" not in output:  # libcurl keeps the reason to itself
                    self.check_sentence(REASONS["EMFILE"], [""], code, output, told)
                ended[name, self.check_after(began, code, False, told)] += 1
        self.figures.append(", ".join(f"{name} {how} {count}" for (name, how), count in sorted(ended.items())))
        self.assertGreater(ended.total(), 10)
