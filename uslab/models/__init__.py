"""Networks and losses, one file a paper; load() gives a trained one."""

__all__ = ["load"]


def load(source, device: str = "auto"):
    """A trained GAN: see uslab.models.store.load."""
    from .store import load

    return load(source, device)
