"""OpenEnv's validator on each URL: prints its verdicts as JSON. Runs in OpenEnv's virtual environment."""

import json
import sys

from openenv.cli._validation import validate_running_environment

reports = {url: validate_running_environment(url, timeout_s=60) for url in sys.argv[1:]}
print(json.dumps({url: [bool(report["passed"]), len(report["criteria"])] for url, report in reports.items()}))
