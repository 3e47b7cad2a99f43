"""`python -m uslab.cli`, the same as the command `uslab`."""

import sys

from uslab.cli.main import main

sys.exit(main())
