#!/usr/bin/env python3
"""Fails on an #include that the architecture forbids, and on a type that two files give the same name.

Proves on planted violations first that it would; --self-test does only that.
"""

import re
import sys
import tempfile
from pathlib import Path

# Room: the rooms above it that it may include, and the third party that its own sources may.
# CMakeLists.txt has the same table in its add_room lines; both must agree.
ROOMS = {
    "base": ((), ()),
    "crypto": (("base",), ("openssl",)),
    "net": (("base", "crypto"), ("curl", "httplib")),
    "sys": (("base",), ("systemd",)),
    "config": (("base",), ("boost", "idn2")),
    "acme": (("base", "crypto", "net"), ("nlohmann",)),
    "store": (("base", "crypto", "sys"), ("nlohmann",)),
    "certbot": (("base", "crypto", "sys"), ("nlohmann",)),
    "authority": (("base", "crypto", "sys"), ("nlohmann",)),
    "dns": (("base", "crypto", "sys"), ()),
    "challenge": (("base", "crypto", "net", "sys", "dns"), ()),
    "broker": (("base", "crypto", "net", "sys"), ()),
    "devices": (("base", "crypto"), ()),
    "doctor": (("base", "crypto", "net", "sys", "dns", "broker", "devices"), ()),
    "setup": (("base", "sys", "broker"), ()),
    "agent": (("base", "crypto", "net", "sys", "acme", "challenge", "store", "broker", "devices"), ()),
    "status": (("base", "crypto", "sys", "store", "broker", "agent"), ("nlohmann", "prometheus")),
    "alert": (("base", "crypto", "net", "sys", "status"), ("nlohmann",)),
    "mqtt": (("base", "crypto", "status"), ("nlohmann", "mosquitto")),
    "control": (("base", "sys"), ("nlohmann",)),
}
# The program: every room, wired together.
APP_THIRD_PARTY = ("nlohmann",)

# How a header of each third party starts, and the CMake targets that bring it.
THIRD_PARTY = {
    "openssl": (("openssl/",), ("OpenSSL::SSL", "OpenSSL::Crypto")),
    "curl": (("curl/",), ("CURL::libcurl",)),
    "httplib": (("httplib.h",), ("PkgConfig::httplib",)),
    "nlohmann": (("nlohmann/",), ("nlohmann_json::nlohmann_json",)),
    "boost": (("boost/",), ("Boost::program_options",)),
    "idn2": (("idn2.h",), ("PkgConfig::idn2",)),
    "systemd": (("systemd/",), ("PkgConfig::systemd",)),
    "prometheus": (("prometheus/",), ("PkgConfig::prometheus",)),
    "mosquitto": (("mosquitto.h",), ("PkgConfig::mosquitto",)),
    "spdlog": (("spdlog/",), ("spdlog::spdlog",)),
    "doctest": (("doctest/", "doctest.h"), ("doctest::doctest",)),
}

SOURCES = {".hpp", ".cpp", ".h", ".hh", ".cc", ".cxx", ".ipp", ".inc"}
DIRECTIVE = re.compile(r"\s*#\s*include(?:_next)?\b(.*)")
TARGET = re.compile(r'\s*(<([^>]+)>|"([^"]+)")')
TYPE = re.compile(r"(?:struct|class|union|enum(?: class)?) (\w+)\b(?!::)[^;]*\{")


def third_party_of(header):
    for name, (prefixes, _) in THIRD_PARTY.items():
        if header.startswith(prefixes):
            return name
    return None


class Check:
    def __init__(self, root):
        self.root = root
        self.complaints = []
        self.types = {}

    def complain(self, path, line, text):
        self.complaints.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def tree(self):
        self.table()
        for top, public in ((self.root / "include", True), (self.root / "src", False)):
            for path in sorted(top.rglob("*")):
                if path.is_file() and path.suffix in SOURCES:
                    self.file(path, top, public)
        return self.complaints

    def table(self):
        """The table above is in order (rooms look up, never down) and is the one of CMakeLists.txt."""
        cmake = self.root / "CMakeLists.txt"
        text = re.sub(r"#.*", "", cmake.read_text())
        found = set()
        for call in re.finditer(r"^\s*add_room\(([^)]*)\)", text, re.MULTILINE):
            line = text.count("\n", 0, call.start(1)) + 1
            name, *words = call.group(1).split()
            lists = {"USES": [], "PRIVATE_LIBRARIES": []}
            current = None
            for word in words:
                if word in lists:
                    current = lists[word]
                elif current is None:
                    self.complain(cmake, line, f"add_room({name}) cannot be read at {word}")
                else:
                    current.append(word)
            for used in lists["USES"]:
                if used not in found:
                    self.complain(cmake, line, f"room {name} uses {used}, which is no room above it")
            found.add(name)
            if name not in ROOMS:
                self.complain(cmake, line, f"room {name} is missing from the table in tests/layering.py")
                continue
            uses, third_party = ROOMS[name]
            if set(lists["USES"]) != set(uses):
                self.complain(cmake, line, f"room {name} uses {lists['USES']}, but tests/layering.py says {list(uses)}")
            self.libraries(cmake, line, name, lists["PRIVATE_LIBRARIES"], third_party)
        for name in ROOMS:
            if name not in found:
                self.complain(cmake, 1, f"room {name} of tests/layering.py has no add_room line")
        app = re.search(r"target_link_libraries\(acme-agent\s([^)]*)\)", text)
        if app is None:
            self.complain(cmake, 1, "target_link_libraries(acme-agent …) cannot be found")
            return
        line = text.count("\n", 0, app.start()) + 1
        libraries = [word for word in app.group(1).split() if "::" in word]
        self.libraries(cmake, line, "app", libraries, APP_THIRD_PARTY)

    def libraries(self, cmake, line, room, libraries, allowed):
        linked = set()
        for library in libraries:
            names = [name for name, (_, targets) in THIRD_PARTY.items() if library in targets]
            if not names:
                self.complain(cmake, line, f"library {library} is missing from THIRD_PARTY in tests/layering.py")
            linked.update(names)
        if linked != set(allowed):
            self.complain(cmake, line, f"room {room} links {sorted(linked)}, but tests/layering.py says {sorted(allowed)}")

    def file(self, path, top, public):
        folders = path.relative_to(top).parts[:-1]
        if public:
            if folders[:1] != ("acme_agent",):
                self.complain(path, 1, "a public header belongs into include/acme_agent/<room>/")
                return
            folders = folders[1:]
        if len(folders) != 1:
            self.complain(path, 1, "a source belongs into the folder of one room")
            return
        room = folders[0]
        if room == "app" and not public:
            may_use, third_party = tuple(ROOMS), APP_THIRD_PARTY
        elif room in ROOMS:
            may_use, third_party = ROOMS[room]
        else:
            self.complain(path, 1, f"room {room} is missing from the table in tests/layering.py")
            return

        lines = path.read_text(encoding="utf-8").splitlines()
        if public and "#pragma once" not in lines:
            self.complain(path, 1, "a public header needs #pragma once")
        self.names(path, lines)
        for number, line in enumerate(lines, 1):
            directive = DIRECTIVE.match(line)
            if directive is None:
                continue
            target = TARGET.match(directive.group(1))
            if target is None:
                self.complain(path, number, "an include that names no file cannot be checked")
                continue
            fault = self.fault(path, room, may_use, third_party, public, target)
            if fault:
                self.complain(path, number, fault)

    def names(self, path, lines):
        """Two types of one name in one namespace, wherever they are: a linker would mix them up and say nothing."""
        unnamed = False
        for number, line in enumerate(lines, 1):
            unnamed = (unnamed or line == "namespace {") and line != "}  // namespace"
            kind = TYPE.match(line)
            if kind is None or unnamed:
                continue
            other = self.types.setdefault(kind.group(1), path)
            if other != path:
                self.complain(path, number, f"{kind.group(1)} is a type of {other.relative_to(self.root)}, too")

    @staticmethod
    def fault(path, room, may_use, third_party, public, target):
        """What is wrong with one #include; nothing if all is well."""
        header = target.group(2) or target.group(3)
        quoted = target.group(3) is not None
        if header.startswith("acme_agent/"):
            used = header.split("/")[1]
            if used == room or used in may_use:
                return None
            return f"room {room} must not look into {used}"
        party = third_party_of(header)
        if party is not None:
            if public:
                return f"{party} must not be seen in a public header"
            if party not in third_party:
                return f"{party} must not be seen in room {room}"
            return None
        if ".." in header.split("/"):
            return "an include must not climb out of its room"
        if quoted and public:
            return "a public header must not include a private one"
        if quoted and not any((path.parent / name).is_file() for name in (header, header + ".in")):
            return f'"{header}" is no private header of room {room}'
        if header.startswith(("src/", "include/")):
            return "an include must not name a folder of the project"
        return None


def self_test():
    """Each planted violation must be found, where it is and alone; a sound tree must be silent."""
    good = {
        "include/acme_agent/base/text.hpp": "#pragma once\n#include <string>\n",
        "include/acme_agent/crypto/key.hpp": "#pragma once\n#include <acme_agent/base/text.hpp>\n",
        "src/crypto/openssl.hpp": "#pragma once\n#include <openssl/evp.h>\n",
        "src/crypto/key.cpp": '#include "openssl.hpp"\n#include <acme_agent/crypto/key.hpp>\n// #include <curl/curl.h>\n',
        "src/net/http.cpp": "#include <httplib.h>\n#include <sys/socket.h>\nnamespace {\nstruct Event {\n};\n}  // namespace\n",
        "src/sys/event.cpp": "class Other;\nstruct Event final : Other {\n};\n",
        "src/app/main.cpp": "#include <acme_agent/crypto/key.hpp>\n#include <nlohmann/json.hpp>\n",
        "src/README.md": "#include <openssl/evp.h>\n",
        "CMakeLists.txt": cmake_of_the_table(),
    }
    sound_cmake = good["CMakeLists.txt"]
    planted = [
        ("include/acme_agent/base/bad.hpp", "#pragma once\n#include <acme_agent/crypto/key.hpp>\n", 2),
        ("src/base/bad.cpp", "\n\n  #  include <acme_agent/crypto/key.hpp>\n", 3),
        ("src/net/bad.cpp", '#include "acme_agent/sys/file.hpp"\n', 1),
        ("src/acme/bad.cpp", "#include <acme_agent/store/state.hpp>\n", 1),
        ("src/agent/bad.cpp", "#include <acme_agent/config/configuration.hpp>\n", 1),
        ("src/control/bad.cpp", "#include <acme_agent/app/main.hpp>\n", 1),
        ("include/acme_agent/crypto/bad.hpp", "#pragma once\n#include <openssl/evp.h>\n", 2),
        ("src/sys/bad.cpp", "#include <openssl/evp.h>\n", 1),
        ("src/broker/bad.cpp", "#include <curl/curl.h>\n", 1),
        ("src/acme/bad.hpp", "#include <httplib.h>\n", 1),
        ("src/base/bad.cpp", "#include <nlohmann/json.hpp>\n", 1),
        ("src/store/bad.cpp", "#include <boost/program_options.hpp>\n", 1),
        ("src/broker/bad.cpp", "#include <systemd/sd-bus.h>\n", 1),
        ("src/base/bad.cpp", "#include <spdlog/spdlog.h>\n", 1),
        ("src/agent/bad.cpp", "#include <doctest/doctest.h>\n", 1),
        ("src/app/bad.cpp", "#include <openssl/evp.h>\n", 1),
        ("src/net/bad.cpp", '#include <string>\n#include "openssl.hpp"\n', 2),
        ("src/net/bad.cpp", '#include "../crypto/openssl.hpp"\n', 1),
        ("src/net/bad.cpp", "#include <../src/crypto/openssl.hpp>\n", 1),
        ("src/net/bad.cpp", "#include <src/crypto/openssl.hpp>\n", 1),
        ("src/net/bad.cpp", "#include HEADER\n", 1),
        ("include/acme_agent/crypto/bad.hpp", '#pragma once\n#include "key.hpp"\n', 2),
        ("include/acme_agent/base/bad.hpp", "#include <string>\n", 1),
        ("include/acme_agent/attic/bad.hpp", "#pragma once\n", 1),
        ("include/acme_agent/bad.hpp", "#pragma once\n", 1),
        ("include/other/bad.hpp", "#pragma once\n", 1),
        ("src/sys/zero.cpp", "namespace {\nstruct Mine {\n};\n}  // namespace\nenum class Event {\n};\n", 5),
        ("src/attic/bad.cpp", "\n", 1),
        ("src/bad.cpp", "\n", 1),
        ("src/base/deeper/bad.cpp", "\n", 1),
        ("CMakeLists.txt", sound_cmake.replace("add_room(net USES base ", "add_room(net USES base sys "), 3),
        ("CMakeLists.txt", sound_cmake.replace("add_room(sys USES base", "add_room(sys USES"), 4),
        ("CMakeLists.txt", sound_cmake.replace(" CURL::libcurl", ""), 3),
        ("CMakeLists.txt", sound_cmake.replace("CURL::libcurl", "CURL::libcurl Cairo::cairo"), 3),
        ("CMakeLists.txt", sound_cmake.replace("add_room(control", "# add_room(control"), 1),
        ("CMakeLists.txt", sound_cmake + "add_room(attic)\n", sound_cmake.count("\n") + 1),
        ("CMakeLists.txt", sound_cmake.replace("PRIVATE nlohmann", "PRIVATE CURL::libcurl nlohmann"), len(ROOMS) + 1),
    ]
    failures = []
    for path, content, line in [(None, None, None), *planted]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in {**good, **({path: content} if path else {})}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            complaints = Check(root).tree()
            if path is None:
                failures += [f"a sound tree was blamed: {complaint}" for complaint in complaints]
            elif not complaints or any(not complaint.startswith(f"{path}:{line}: ") for complaint in complaints):
                failures.append(f"not found at {path}:{line} alone: {content!r}: {complaints}")
    return failures


def cmake_of_the_table():
    lines = []
    for name, (uses, third_party) in ROOMS.items():
        libraries = [THIRD_PARTY[party][1][0] for party in third_party]
        words = [name, *(["USES", *uses] if uses else []), *(["PRIVATE_LIBRARIES", *libraries] if libraries else [])]
        lines.append(f"add_room({' '.join(words)})")
    libraries = " ".join(THIRD_PARTY[party][1][0] for party in APP_THIRD_PARTY)
    lines.append(f"target_link_libraries(acme-agent PRIVATE {libraries})")
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:] not in ([], ["--self-test"]):
        sys.exit("usage: layering.py [--self-test]")
    complaints = [f"self-test: {failure}" for failure in self_test()]
    if not sys.argv[1:] and not complaints:
        complaints = Check(Path(__file__).resolve().parent.parent).tree()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
