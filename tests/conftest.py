"""Programs that tests start see this tree, installed or not."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = str(Path(__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
