"""Seconds to simulate 1000 images of 128x128 of each scene, scaled from fewer.

Run: python benchmarks/phantom_speed.py [n]
"""

import os
import sys
import time

import uslab.phantom

n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
for scene in uslab.phantom.SCENES:
    uslab.phantom.load(scene, 8, 128)    # load the libraries before the clock starts
    wall, cpu = time.perf_counter(), time.process_time()
    uslab.phantom.load(scene, n, 128)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{scene}: {n} images of 128x128 on {os.cpu_count()} cores: {1000 * wall / n:.0f} s per 1000 images, "
          f"{1000 * cpu / n:.0f} s of processor time, load before it {os.getloadavg()[0]:.1f}")
