"""Containers as compose files say, started with podman in the order that they ask for.

Read is what our examples are written with: mappings and lists by indentation, in one line, and quoted words.
"""

import re

from support import programs


def _value(text):
    text = text.strip()
    if text[:1] in "[{":
        parts, depth, quote, part = [], 0, "", ""
        for letter in text[1:-1]:
            quote = "" if letter == quote else quote or (letter if letter in "\"'" else "")
            depth += not quote and (letter in "[{") - (letter in "]}")
            if letter == "," and not depth and not quote:
                parts.append(part)
                part = ""
            else:
                part += letter
        parts = [one for one in [*parts, part] if one.strip()]
        if text[0] == "[":
            return [_value(one) for one in parts]
        return {key.strip(): _value(value) for key, value in (one.split(":", 1) for one in parts)}
    return text[1:-1] if text[:1] in "\"'" and text[:1] else text


def _block(lines, indentation):
    """The lines of one depth from the front of `lines`, and what is below each of them."""
    if lines[0][1].startswith("- "):
        items = []
        while lines and lines[0][0] == indentation:
            items.append(_value(lines.pop(0)[1][2:]))
        return items
    mapping = {}
    while lines and lines[0][0] == indentation:
        key, rest = re.fullmatch(r"([\w.-]+):(.*)", lines.pop(0)[1]).groups()
        if rest.strip():
            mapping[key] = _value(rest)
        else:
            mapping[key] = _block(lines, lines[0][0]) if lines and lines[0][0] > indentation else {}
    return mapping


def read(text, variables):
    """`${NAME:?}` is replaced, and `$$` means one of it."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        line = re.sub(r"\$\{(\w+)(:[?-][^}]*)?\}", lambda found: variables[found.group(1)], line).replace("$$", "$")
        if line.strip():
            lines.append((len(line) - len(line.lstrip()), line.strip()))
    result = _block(lines, 0)
    assert not lines, f"not understood: {lines[0]}"
    return result


def merge(one, other):
    """As an override file is laid over: mappings grow, lists grow, but for words of a command."""
    if isinstance(one, dict):
        result = dict(one)
        for key, value in other.items():
            whole = key not in one or key in ("command", "entrypoint")
            result[key] = value if whole else merge(one[key], value)
        return result
    return [*one, *other] if isinstance(one, list) else other


class Stack:
    """The services of a file whose folder is `folder`. `images` tells for each image what of it counts here: the entry
    point, the command, and the root if it is not that of `podman`."""

    def __init__(self, case, podman, folder, settings, images, options=()):
        self.case = case
        self.podman = podman
        self.folder = folder
        self.services = settings["services"]
        self.images = images
        self.more_options = options
        self.programs = {}

    def published(self, name):
        """(host port, container port) of each."""
        return [tuple(map(int, text.split(":"))) for text in self.services[name].get("ports", [])]

    def _depends_on(self, name):
        found = self.services[name].get("depends_on", {})
        return found if isinstance(found, dict) else {one: {"condition": "service_started"} for one in found}

    def _options(self, service):
        options = [*self.more_options, *(["--user", service["user"]] if "user" in service else [])]
        for capability in service.get("cap_drop", []):
            options += ["--cap-drop", capability]
        options += ["--read-only"] if service.get("read_only") == "true" else []
        options += [f"--env={key}={value}" for key, value in service.get("environment", {}).items()]
        for volume in service.get("volumes", []):
            source, rest = volume.split(":", 1)
            path = self.folder / source
            if not path.exists():
                path.mkdir(parents=True)  # as Docker does, for root
            options += ["--volume", f"{path}:{rest}"]
        if service.get("pid", "").startswith("service:"):
            options += ["--pid", f"container:{self.podman.full_name(service['pid'].split(':', 1)[1])}"]
        if "network_mode" not in service:  # compose lets services find each other by name
            options += [f"--add-host={name}:127.0.0.1" for name in self.services]
        return options

    def start(self, name):
        service = self.services[name]
        image = self.images[service["image"]]
        words = [*service.get("entrypoint", image["entrypoint"]), *service.get("command", image["command"])]
        self.programs[name] = self.podman.start(name, *words, options=self._options(service),
                                                 network=service.get("network_mode", "host"), root=image.get("root"))
        return self.programs[name]

    def up(self):
        """Everything, what others depend on first: as `docker compose up -d` does, however often."""
        def start_with_all_before(name):
            if name in self.programs and self.programs[name].running:
                return
            for other, terms in self._depends_on(name).items():
                start_with_all_before(other)
                if terms["condition"] == "service_completed_successfully":
                    code = self.programs[other].wait(30)
                    assert code == 0, f"{other} ended with {code}: {self.programs[other].output()}"
                else:
                    self._wait_until_runs(other)
            self.start(name)
        for service in self.services:
            start_with_all_before(service)

    def _wait_until_runs(self, name):
        def runs():
            program = self.programs[name]
            code, output = self.podman.run("inspect", "--format", "{{.State.Running}}", self.podman.full_name(name))
            assert program.running, f"{name} ended: {program.output()}"
            return code == 0 and output.strip() == "true"
        programs.eventually(runs, 20, f"the container of {name}")

    def restart(self, name):
        """With those that ask to be restarted with it; whoever lives in its PID namespace ends with it by itself."""
        with_it = [other for other in self.services if self._depends_on(other).get(name, {}).get("restart") == "true"]
        self.podman.run("stop", "--time", "5", self.podman.full_name(name))
        self.programs[name].wait()
        for other in with_it:
            self.programs[other].wait()
            self.podman.remove(other)
        self.podman.remove(name)
        self.start(name)
        self._wait_until_runs(name)
        for other in with_it:
            self.start(other)
