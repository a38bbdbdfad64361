"""The real Node-RED, with the flow of examples/node-red."""

import json
import pathlib
import signal

from support import programs

ROOT = pathlib.Path(__file__).resolve().parents[3]
NODE_RED = ROOT / "build/node-red/node_modules/node-red/red.js"


def is_here():
    return NODE_RED.exists()


def flow():
    """Its nodes by their type."""
    return {node["type"]: node for node in json.loads((ROOT / "examples/node-red/flow.json").read_text())}


def start(case, name, host, port, tls=None, **environment):
    """With the broker of the flow at this host, which is this machine, and port, and more in its TLS configuration."""
    nodes = flow()
    nodes["mqtt-broker"].update(broker=host, port=str(port))
    nodes["tls-config"].update(tls or {})
    folder = case.folder / name
    folder.mkdir()
    (folder / "flow.json").write_text(json.dumps(list(nodes.values())))
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 {host}\n")
    program = case.program(name, [
        "node", NODE_RED, "--userDir", folder, "--port", programs.free_port(), "-D", "uiHost=127.0.0.1",
        "-D", "mqttReconnectTime=100", "-D", "telemetry.enabled=false", folder / "flow.json"],
        env=programs.environment(HOME=folder, LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_HOSTS=hosts, **environment))
    case.addCleanup(lambda: program.running and program.send(signal.SIGKILL))  # it takes its time for a goodbye
    return program
