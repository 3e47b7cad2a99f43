"""Seconds to simulate 1000 fetal heads of 128x128, scaled from fewer. Run: python benchmarks/phantom_speed.py [n]"""

import os
import sys
import time

import uslab.phantom

n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
uslab.phantom.load("fetal_head", 8, 128)    # load the libraries before the clock starts
wall, cpu = time.perf_counter(), time.process_time()
uslab.phantom.load("fetal_head", n, 128)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(f"{n} images of 128x128 on {os.cpu_count()} cores: {1000 * wall / n:.0f} s per 1000 images, "
      f"{1000 * cpu / n:.0f} s of processor time, load before it {os.getloadavg()[0]:.1f}")
