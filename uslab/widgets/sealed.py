"""Answers as salted hashes: what is right can be recognised, but not read."""

import hashlib
import secrets
from collections.abc import Iterator
from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

ROUNDS = 20_000     # of the hash: some ten milliseconds an answer, so that trying all numbers takes a while


def seal(exercise: dict) -> dict:
    """An exercise with its hints, without its answer and how it is found."""
    salt = secrets.token_hex(16)
    hashes = {digest(form, salt) for form in right_forms(Decimal(str(exercise["answer"])))}
    return {"hints": exercise["hints"], "salt": salt, "hashes": sorted(hashes)}


def opens(number: Decimal, sealed: dict) -> bool:
    """Whether it is the sealed answer: to the two or three digits that are given, else within about a thousandth."""
    return any(digest(form, sealed["salt"]) in sealed["hashes"] for form in forms(number))


def digest(form: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", form.encode(), bytes.fromhex(salt), ROUNDS).hex()


def forms(number: Decimal) -> Iterator[str]:
    """How a number is hashed: as it is written, if that has two or three digits, and on a grid of four."""
    if len(number.as_tuple().digits) in (2, 3):
        yield f"{number:f}"
    yield f"{number:.3e}"


def right_forms(answer: Decimal) -> Iterator[str]:
    """All forms of what counts as this answer: no neighbour can be found from another's hash, so each has its own."""
    size = answer.adjusted()
    for exponent in range(size - 3, size + 1):
        for tie in (ROUND_HALF_UP, ROUND_HALF_DOWN):
            written = answer.quantize(Decimal(1).scaleb(exponent), tie)
            if len(written.as_tuple().digits) in (2, 3):
                yield f"{written:f}"
    reach = abs(answer) / 1000
    step = Decimal(1).scaleb((abs(answer) - reach).adjusted() - 3)
    for away in (*(k * step for k in range(int(reach / step) + 1)), reach):
        for near in (answer - away, answer + away):
            yield f"{near:.3e}"
