"""What a Jupyter kernel runs first, as PYTHONSTARTUP, when a notebook is tested on the emulated GPU."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from emulated import gpu  # noqa: E402

kept = gpu()
kept.__enter__()
