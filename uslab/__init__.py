"""uslab: GAN synthesis of ultrasound images, one notebook per paper."""

import os

__version__ = "0.1.0"

# Threads that wait for work sleep. Spinning, as they do by themselves, they take the processor from those that work as
# soon as anything else runs beside them: two threads then train seven times more slowly than one. PyTorch reads this
# when it is loaded; what a user has set stays.
for _name, _value in {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}.items():
    os.environ.setdefault(_name, _value)
