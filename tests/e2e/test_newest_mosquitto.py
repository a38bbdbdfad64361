"""The same as in test_deployment.py with the newest Mosquitto."""

import test_deployment
from support.case import Case

for name, tests in list(vars(test_deployment).items()):
    if isinstance(tests, type) and issubclass(tests, Case) and tests.__module__ == "test_deployment":
        globals()[name] = type(name, (tests,), {"__module__": __name__, "broker_version": "newest"})
del name, tests
