"""Print the lock, `name==version` a line, from pip's report of what it would install: `make lock` calls it."""

import json
import re
import sys

# The build of torch, and with it what only that build needs, is chosen by the machine.
LEFT_OUT = "torch|triton|setuptools|uslab|cuda-.*|nvidia-(?!ml-py).*"

with open(sys.argv[1], encoding="utf-8") as file:
    found = [package["metadata"] for package in json.load(file)["install"]]
versions = {re.sub("[-_.]+", "-", package["name"]).lower(): package["version"] for package in found}
print("\n".join(f"{name}=={versions[name]}" for name in sorted(versions) if not re.fullmatch(LEFT_OUT, name)))
