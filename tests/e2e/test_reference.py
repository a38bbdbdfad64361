"""Man pages, completions and the configuration file, as those take them who read them: man, mandoc and three shells."""

import os
import pathlib
import pty
import select
import shlex
import subprocess
import time

from support import programs
from support.case import Case

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples/acme-agent.conf"

# A line as it is typed, and all that is offered.
LINES = {
    "acme-agent st": {"status"},
    "acme-agent --key-type rs": {"rsa2048", "rsa3072", "rsa4096"},
    "acme-agent --key-type=rs": {"rsa2048", "rsa3072", "rsa4096"},
    "acme-agent renew x --forc": {"--force"},
    "acme-agent status --forc": set(),
    "acme-agent --onc": {"--once"},
    "acme-agent account s": {"show"},
    "acme-agent --config SECTIONS status b": {"b1.example", "b2.example"},
    "acme-agent --config=SECTIONS renew a": {"a.example"},
    "acme-agent --ca-bundle /etc/ssl/cer": {"/etc/ssl/certs"},
    "acme-agent --cert-dir /etc/ssl/cer": {"/etc/ssl/certs"},
    "acme-agent watch /etc/ssl/cer": {"/etc/ssl/certs"},
    "acme-agent help doc": {"doctor"},
}
BASH = """source completion
complete -p acme-agent | grep -q ' -F ' || echo "it is not registered"
compopt() { :; }  # it is there while a key is pressed only
while read -r line; do
  COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
  _acme_agent
  echo "${COMPREPLY[@]}"
done <lines
"""


class Reference(Case):
    def setUp(self):
        super().setUp()
        (self.folder / "sections.conf").write_text("[a.example]\n [b1.example]\n[b2.example]\n#[b3.example]\n")
        self.lines = {line.replace("SECTIONS", str(self.folder / "sections.conf")): offered for line, offered in LINES.items()}

    def reference(self, form, name):
        code, output = programs.run([self.agent_path, "help", "--format", form])
        self.assertEqual(code, 0, output)
        (self.folder / name).write_text(output)
        return self.folder / name

    def test_man_and_mandoc_have_nothing_to_say_about_the_man_pages(self):
        for form in ("man", "man-conf"):
            page = self.reference(form, form)
            code, output = programs.run(["mandoc", "-T", "lint", "-W", "warning", page])
            self.assertEqual((code, output), (0, ""))
            shown = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=True,
                                   env=programs.environment(MANWIDTH=80))
            self.assertEqual(shown.stderr, "")
            self.assertIn("EXAMPLES", shown.stdout)

    def test_the_example_is_the_configuration_file_of_the_program_and_is_good_as_it_stands(self):
        conf = self.reference("conf", "acme-agent.conf")
        self.assertEqual(EXAMPLE.read_text(), conf.read_text(), "acme-agent help --format conf >examples/acme-agent.conf")
        code, output = programs.run([self.agent_path, "check", "--config", conf, "--domain", "mydyn.example"])
        self.assertEqual(code, 0, output)

    def test_bash_offers_what_fits(self):
        self.reference("bash", "completion")
        (self.folder / "lines").write_text("".join(f"{line}\n" for line in self.lines))
        code, output = programs.run(["bash", "--norc", "-c", BASH], cwd=self.folder)
        self.assertEqual(code, 0, output)
        for (line, offered), said in zip(self.lines.items(), output.splitlines(), strict=True):
            self.assertEqual(set(said.split()), offered, line)

    def test_fish_offers_what_fits(self):
        completion = self.reference("fish", "completion")
        for line, offered in self.lines.items():
            code, output = programs.run(["fish", "--no-config", "-c", f"source {completion}; complete -C {shlex.quote(line)}"],
                                        cwd=self.folder, env=programs.environment(HOME=self.folder))
            self.assertEqual(code, 0, output)
            words = {said.split("\t")[0].rstrip("/") for said in output.splitlines()}
            if "=" in line.split()[-1]:
                words = {word.split("=", 1)[1] for word in words}
            self.assertEqual(words, offered, line)

    def test_zsh_offers_what_fits(self):
        self.reference("zsh", "_acme-agent")
        with Terminal(["zsh", "-f", "-i"], self.folder) as zsh:
            zsh.type("PS1='> '; LISTMAX=0; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; "
                     "zstyle ':completion:*' completer _complete; bindkey '^X' list-choices; print begin'ning'\n")
            zsh.read_until("beginning")
            for line, offered in self.lines.items():
                if not offered:
                    continue
                zsh.type(line + ("\t" if len(offered) == 1 else "\x18"))
                for word in offered:
                    zsh.read_until(word)
                zsh.type("\x15print the e'nd'\n")
                zsh.read_until("the end")


class Terminal:
    def __init__(self, argv, folder):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=folder,
                                        env=programs.environment(TERM="dumb", HOME=folder, COLUMNS=200))
        os.close(slave)
        self.shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, keys):
        self.shown = ""
        os.write(self.master, keys.encode())

    def read_until(self, words, seconds=15):
        end = time.monotonic() + seconds
        while words not in self.shown:
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{words!r} did not appear; there is: {self.shown!r}")
            self.shown += os.read(self.master, 4096).decode(errors="replace").replace("\a", "")
