"""Whether a study is still what was built, and its record what was written: checks without the key; the deposit."""

import hashlib
import json
from pathlib import Path


def checks(study, head: str | None = None) -> list[tuple[str, bool, str]]:
    """Rows check, ok, detail. head: a deposited hash of the chain, which must stand in it as it did.

    Whoever can write to the folder can write everything anew and the chain with it; only a head that was deposited
    elsewhere shows that.
    """
    found, store = [], study.store

    def check(name: str, ok: bool, detail: str = "") -> None:
        found.append((name, bool(ok), detail))

    try:
        count, last = store.verify()
        check("the chain of the log is whole", True, f"{count} rows, head {last}")
    except ValueError as error:
        check("the chain of the log is whole", False, str(error))
    kind, body = store.rows("select kind, body from log order by seq limit 1")[0]
    built = json.loads(body) if kind == "build" else {}
    now = hashes(study)
    for name, what in (("study", "study.json (title, question, consent, design, hash of the key)"),
                       ("pack", "the images"), ("plan", "the sealed orders")):
        check(f"{what}: as the chain's first row says", built.get(name) == now[name], f"SHA-256 {now[name][:16]}...")
    check("the hash of the key: as the chain's first row says", built.get("key") == study.about["key_commitment"],
          f"SHA-256 {study.about['key_commitment'][:16]}...")
    said = {"invite": set(), "code": set()}
    for kind, body in store.rows("select kind, body from log where reader = '' and kind in ('invite', 'reissue')"):
        told = json.loads(body)
        said["code"].add((told["code"], told["reader"]))
        if kind == "invite":
            said["invite"].add((told["reader"], told["slot"], int(told["simulated"])))
    kept = {"code": set(store.rows("select hash, reader from code")),
            "invite": set(store.rows("select id, slot, simulated from reader"))}
    check("readers, orders and codes: as the chain says", said == kept)
    check("the mirror: the same rows as the log", store.mirrored(), store.mirror.name)
    if head:
        rows = [seq for seq, found in store.rows("select seq, hash from log") if found.startswith(head.strip().lower())]
        check("the deposited head stands in the chain", len(head.strip()) >= 16 and len(rows) == 1,
              f"row {rows[0]}" if rows else f"{head.strip()[:16]}... is no row's hash: the log was written anew")
    return found


def hashes(study) -> dict[str, str]:
    """SHA-256 of study.json, of the images and of the sealed orders, as they are now."""
    orders = b"".join(sealed for sealed, in study.store.rows("select sealed from plan order by slot"))
    return {"study": hashlib.sha256((study.public / "study.json").read_bytes()).hexdigest(),
            "pack": study.pack.sha256(), "plan": hashlib.sha256(orders).hexdigest()}


def deposit(study, when: str) -> tuple[Path, str]:
    """Write a file for a colleague or a time-stamping service; returns it and the chain's head. when: build, close."""
    count, head = study.store.verify()
    path = study.folder / f"deposit_{when}.txt"
    path.write_text(f"uslab reader study {study.about['id']}: {study.about['title']}\nbuilt {study.about['built']}\n"
                    f"at {when}: {count} rows\nhead {head}\n", encoding="utf-8")
    return path, head
