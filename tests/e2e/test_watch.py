"""`acme-agent watch`: a command whenever the files of a folder change."""

import os
import pathlib
import signal
import time

from support import programs
from support.agent import agent_environment
from support.case import Case, ServedCase


class Watch(Case):
    def setUp(self):
        super().setUp()
        self.certs = self.folder / "certs"
        self.certs.mkdir()
        (self.certs / "tls.crt").write_text("one")
        self.ran = self.folder / "ran"
        self.ran.touch()

    def watch(self, *words, wait_for="watching", **options):
        program = self.program("agent-watch", [self.agent_path, "watch", self.certs, *words], env=agent_environment(), **options)
        program.wait_for_output(wait_for)
        return program

    def count(self, script="", **options):
        """Every run is a line in a file."""
        return self.watch("--", "sh", "-c", f'echo "$CERTIFICATE_DIR" >> {self.ran}; {script}', **options)

    def runs(self):
        return self.ran.read_text().splitlines()

    def change(self):
        with (self.certs / "tls.crt").open("a") as file:
            file.write("more")

    def wait_for_runs(self, count):
        self.eventually(lambda: len(self.runs()) >= count, 10, f"run {count} of the command")

    def test_the_command_runs_once_for_each_change_and_not_at_the_start(self):
        watch = self.count()
        self.assertEqual(self.runs(), [])
        for count in range(1, 3):
            self.change()
            self.wait_for_runs(count)
            watch.wait_for_output("was told", count=count)
        # two files that are written one after the other are one change
        (self.certs / "new.crt").write_text("two")
        time.sleep(0.05)
        (self.certs / "new.key").write_text("two")
        watch.wait_for_output("was told", count=3)
        self.assertEqual(self.runs(), [str(self.certs)] * 3)

    def test_a_command_that_fails_is_told_and_run_again_until_it_does_not(self):
        watch = self.count(f'echo broker is busy; test $(wc -l < {self.ran}) -ge 3')
        self.change()
        began = time.monotonic()
        watch.wait_for_output("was told", 20)
        self.assertGreater(time.monotonic() - began, 2 + 4 - 0.5)
        self.assertEqual(len(self.runs()), 3)
        self.assert_one_sentence(watch.output(), "exit code 1", "broker is busy", "next try in 2 seconds")
        self.assert_one_sentence(watch.output(), "exit code 1", "next try in 4 seconds")

    def test_another_change_is_not_held_up_by_a_failure(self):
        watch = self.count("exit 1")
        self.change()
        watch.wait_for_output("next try in 4 seconds", 20)
        self.change()
        began = time.monotonic()
        self.wait_for_runs(3)
        self.assertLess(time.monotonic() - began, 3)

    def test_SIGTERM_ends_it_at_once_and_what_it_runs_and_SIGHUP_does_not(self):
        watch = self.watch("--", "sleep", "1000")
        watch.send(signal.SIGHUP)
        self.change()
        child = self.eventually(lambda: pathlib.Path(f"/proc/{watch.pid}/task/{watch.pid}/children").read_text().split(), 10,
                                "the command's start")
        began = time.monotonic()
        watch.send(signal.SIGTERM)
        self.assertEqual(watch.wait(), 0)
        self.assertLess(time.monotonic() - began, 2)
        self.assertFalse(pathlib.Path("/proc", child[0]).exists())

    def test_nobody_special_may_run_it_and_it_sleeps(self):
        watch = self.count(user="nobody")
        time.sleep(0.5)
        before = self.sleeps(watch.pid)
        time.sleep(1.5)
        self.assertEqual(self.sleeps(watch.pid), before, "it woke up")
        os.chmod(self.ran, 0o666)
        self.change()
        self.wait_for_runs(1)

    @staticmethod
    def sleeps(pid):
        """How often its main thread has gone to sleep."""
        status = pathlib.Path(f"/proc/{pid}/task/{pid}/status").read_text()
        return next(line for line in status.splitlines() if line.startswith("voluntary_ctxt"))

    def test_what_makes_no_sense_is_refused_in_one_sentence(self):
        for words, needle in (([self.folder / "nothing"], "there is no folder"), ([self.certs / "tls.crt"], "there is no folder"),
                              ([self.certs, "--reload", "none"], "there is nobody to tell"), ([], "something is missing")):
            code, output = programs.run([self.agent_path, "watch", *words], env=agent_environment())
            self.assertEqual(code, 2, output)
            self.assert_one_sentence(output, needle)


class WatchByUser(ServedCase):
    """A folder that the broker's user may pass and not list, as the agent makes it."""

    def test_a_renewal_is_told_to_the_broker_by_its_own_user(self):
        self.serve()
        self.assertEqual(self.me.cert_dir.stat().st_mode & 0o777, 0o711)
        watch = self.program("agent-watch", [self.agent_path, "watch", self.me.cert_dir, "--reload",
                                             f"process:{self.mqtt.comm}"], env=agent_environment(), user="mosquitto")
        watch.wait_for_output("watching")
        code, output = self.me.renew("--force", reuse_key="no", reload="none", owner="root:mosquitto")
        self.assertEqual(code, 0, output)
        self.assert_served()
        watch.wait_for_output("was told")
