"""Prints what pyproject.toml asks for under the extras that are named; '' is what every installation needs.

So an image's third-party layer is made anew when a requirement changes, not when a line of ours does. torch has a layer
of its own.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
extras = project["project"]["optional-dependencies"] | {"": [*project["project"]["dependencies"], "hatchling>=1.25"]}
wanted = [line for extra in sys.argv[1:] for line in extras[extra]]
print("\n".join(line for line in wanted if not line.startswith("torch>")))
