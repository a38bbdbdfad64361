"""The benchmark itself: that it still measures, not how fast anything is."""

import pathlib
import re

from support import programs
from support.agent import refuse_sanitizer_reports
from support.case import Case

RUN = pathlib.Path(__file__).resolve().parents[1] / "bench/run.py"


class Benchmark(Case):
    def test_it_measures_every_scenario_with_our_own_programs(self):
        code, output = programs.run([RUN, "--smoke", "--agent", self.agent_path, "--build-folder", self.build_folder], 120)
        refuse_sanitizer_reports(output)
        self.assertEqual(code, 0, output)
        self.assertIn(" 0 failed", output)
        for scenario in ("first issuance", "renewal, forced", "renewal, due", "nothing to do", "idle memory", "rename to proof",
                         "many certificates"):
            self.assertIn(scenario, output)
        self.assertRegex(output, re.compile(r"^  floor +1/1 ", re.M))
