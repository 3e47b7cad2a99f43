"""Milliseconds to draw the test object after each knob moved. Run: python benchmarks/explorer_speed.py

The pictures a second in a real JupyterLab, while a slider is dragged, are printed by
pytest -s tests/browser -k slider.
"""

import os
import statistics
import time

import cv2

from uslab.phantom.scanner import Config, scan

cv2.setNumThreads(1)
START = {"frequency": 4.0, "depth": 80.0, "focus": 30.0, "density": 50.0, "attenuation": 0.3, "tgc": 0.3, "gain": 0.0,
         "dynamic_range": 50.0}
scan(Config())      # load the libraries before the clock starts
for name, value in START.items():
    times = []
    for i in range(11):
        config = Config(**{name: value + i / 20})
        start = time.perf_counter()
        scan(config)
        times.append(time.perf_counter() - start)
    print(f"{name:14s} {1000 * statistics.median(times):5.1f} ms")
print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
