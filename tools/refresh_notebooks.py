"""Run the committed notebooks in place: `python tools/refresh_notebooks.py [NOTEBOOK ...]`, or `make notebooks`."""

import sys

from uslab.notebooks import UsageError
from uslab.notebooks.batch import refresh

if __name__ == "__main__":
    try:
        sys.exit(refresh(sys.argv[1:]))
    except UsageError as error:
        sys.exit(str(error))
