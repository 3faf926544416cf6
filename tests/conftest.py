"""Programs that tests start see this tree, installed or not, and hear Ctrl-C, which a shell takes from what it runs in the background."""

from __future__ import annotations

import os
import signal
from pathlib import Path

ROOT = str(Path(__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
