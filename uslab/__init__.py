"""uslab: GAN synthesis of ultrasound images, one notebook per paper."""

__version__ = "0.1.0"
