"""What public/ holds under lock: the order of each reader, which opens with their code alone, or with the sealed key.

Encrypt then authenticate, of the standard library alone: a SHAKE-256 stream over key and nonce, and HMAC-SHA-256. Keys
are 256 bits, codes 96 random bits, so nothing here is a password to be guessed.
"""

import hashlib
import hmac
import json
import secrets

NONCE, TAG, PAD = 16, 32, 1024


def order_key(secret: str, slot: int) -> bytes:
    """The key of a slot's order, from the secret of the sealed key."""
    return hmac.new(bytes.fromhex(secret), f"order|{slot}".encode(), hashlib.sha256).digest()


def of_code(code: str) -> bytes:
    """The key that a reader's code stands for. The hash by which the code is looked up says nothing of it."""
    return hashlib.sha256(b"uslab study key|" + code.encode()).digest()


def lock(key: bytes, content) -> bytes:
    """JSON content, padded so that its length says nothing, under a key."""
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % PAD)
    nonce = secrets.token_bytes(NONCE)
    hidden = nonce + _mixed(key, nonce, text)
    return hidden + _tag(key, hidden)


def unlock(key: bytes, locked: bytes):
    """The content. Raises ValueError for another key, or if a byte was changed."""
    hidden, tag = locked[:-TAG], locked[-TAG:]
    if not hmac.compare_digest(tag, _tag(key, hidden)):
        raise ValueError("this key does not open it, or it was changed")
    return json.loads(_mixed(key, hidden[:NONCE], hidden[NONCE:]))


def _mixed(key: bytes, nonce: bytes, text: bytes) -> bytes:
    stream = hashlib.shake_256(b"stream|" + key + nonce).digest(len(text))
    return (int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(text), "big")


def _tag(key: bytes, hidden: bytes) -> bytes:
    return hmac.new(b"tag|" + key, hidden, hashlib.sha256).digest()
