"""Join answers and truth, after the study is closed; check first that neither was changed."""

import json

import pandas as pd

from uslab.data.atomic import write_text
from uslab.study import evidence
from uslab.study.audit import sealed_orders
from uslab.study.build import ATTENTION, rows
from uslab.study.codebook import ANSWERS, TAKEN
from uslab.study.protocol import LEFT, LONGEST_COMMENT, REAL, RIGHT, SYNTHETIC

COLUMNS = [*ANSWERS, "file", "group"]
MOST = 10**9        # a page can tell anything; greater numbers are taken for none
# After these of the page an image may have been seen before the time of its answer began.
INTERRUPTIONS = ("open", "pause", "resume", "hidden", "blur")


def unblind(study, key_path, early: str | None) -> pd.DataFrame:
    """Study.unblind's work; see there."""
    if not study.store.closed() and not (early and early.strip()):
        raise ValueError("the study is still open: close it first (Study.close, `uslab study close`). To look at the "
                         "answers before, give a reason (early=..., --early); it will stand in the report")
    key = study.key(key_path)
    head = study.store.verify()
    reason = None if study.store.closed() else early
    study.store.event("", "unblind", {"early": reason, "rows": head[0], "head": head[1]})
    table = answers(study, key)
    folder = study.folder / "UNBLINDED"
    folder.mkdir(mode=0o700, exist_ok=True)
    write_text(folder / "answers.csv", table.to_csv(index=False))
    return table


def answers(study, key: dict) -> pd.DataFrame:
    """One row an answer that counts, of readers who have not withdrawn.

    case: the stimulus, in pairs the synthetic one, under its opaque name. truth: 'real' or 'synthetic', in pairs 'left'
    or 'right', the real one's side; 'attention' for items of noise. rating: higher for 'synthetic', by choice and
    confidence, or by quality alone where there is no choice. correct: of attention items, whether the noise was seen
    to be noise. An answer that the reader took back is in first_choice and so on, the time is that of the first.
    Every column is explained by codebook.codebook.
    """
    withdrawn = {reader for reader, in study.store.rows("select reader from log where kind = 'withdraw'")}
    readers = {reader["reader"]: reader for reader in study.readers() if reader["reader"] not in withdrawn}
    plans = {name: {row[1]: row for row in rows(key, reader["slot"])} for name, reader in readers.items()}
    table, interrupted = [], {}
    anew = {(reader, trial): json.loads(body) for reader, trial, body in study.store.rows(
        "select reader, trial, body from log where kind = 'correction'")}
    for kind, reader, trial, at, body in study.store.rows(
            f"select kind, reader, trial, at, body from log where kind in {('answer', *INTERRUPTIONS)} order by seq"):
        if kind != "answer":
            # The first opening comes before any image.
            interrupted[reader] = reader in interrupted
        elif reader in readers:
            position, _, phase, block, names, *_ = plans[reader][trial]
            first = json.loads(body)
            reply = anew.get((reader, trial), first)
            table.append({"reader": reader, "simulated": readers[reader]["simulated"], "trial": trial,
                          "position": position, "phase": phase, "block": block, "at": at,
                          **judge([(name, key["stimuli"][name]) for name in names.split(",")], reply, study.protocol),
                          **{name: reply[name] for name in ("choice", "confidence", "quality")},
                          **beside(reply, names.split(",")),
                          "rt_ms": first["rt_ms"], "interrupted": interrupted.get(reader, False), **seen(first),
                          "fps": study.protocol.fps, "frames": study.pack.length,
                          "corrected": reply is not first,
                          **{f"first_{name}": first[name] for name in ("choice", "confidence", "quality")}})
            interrupted[reader] = False
    frame = pd.DataFrame(table, columns=COLUMNS)
    return frame.astype({"confidence": "Int64", "quality": "Int64", "first_confidence": "Int64",
                         "first_quality": "Int64", "mark_x": float, "mark_y": float,
                         "mark_frame": "Int64", "corrected": bool,
                         "correct": "boolean", "rating": float, "rt_ms": float, "simulated": bool,
                         "interrupted": bool, "zoom": float, "scale": float, "window": "Int64",
                         "level": "Int64", "exposure_ms": float, "blurs": "Int64",
                         "frames_shown": "Int64", "holds": "Int64", "early": "Int64"})


def seen(body: dict) -> dict:
    """How an image was looked at and answered, of what the page told with the answer."""
    client = body.get("client") or {}
    told = bool(set(client) - {"simulated", "shows"})

    def count(name: str, else_: int | None = 0) -> int | None:
        value = client.get(name, else_)
        return value if isinstance(value, int) and 0 <= value < MOST else else_

    by, early, zoom = client.get("by"), client.get("early"), number(client.get("zoom", 1))
    known = ANSWERS["by"][2]
    return {"by": by[0] if isinstance(by, list) and by and by[0] in known else None, "zoom": zoom if told else None,
            "scale": number(client.get("scale")), "window": count("window", None), "level": count("level", None),
            "exposure_ms": number(client.get("exposure_ms")), "frames_shown": count("frames_shown", None),
            "holds": count("holds", None),
            "blurs": count("blur") + count("hidden") if told else None,
            "early": (len(early) if isinstance(early, list) else 0) if told else None}


def beside(reply: dict, names: list[str]) -> dict:
    """The comment and the mark of an answer to these stimuli."""
    mark, comment = reply.get("mark") or {}, reply.get("comment")
    return {"comment": plain(comment, LONGEST_COMMENT) if comment else None,
            "mark_case": names[mark["side"] == RIGHT] if mark else None,
            **{f"mark_{name}": mark.get(name) for name in ("side", "x", "y", "frame")}}


def number(value) -> float | None:
    """A number that a page told; None for anything else, as a page can tell anything."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MOST
    return float(value) if known else None


def plain(text: str, most: int = 200) -> str:
    """A reader's own words on one line, so many characters at most, that no spreadsheet takes for a formula."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in str(text).replace("|", "/")).split())[:most]
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def readers_facts(study) -> pd.DataFrame:
    """One row a reader who has not withdrawn: screen, sessions, pauses, and what they said of themselves."""
    table = []
    for reader in study.readers():
        if reader["label"] is None or reader["simulated"]:
            continue
        events = study.store.rows("select kind, body from log where reader = ? order by seq", reader["reader"])
        ready = next((json.loads(body) for kind, body in events if kind == "ready"), {})
        kinds = [kind for kind, _ in events]
        sides = {column: plain("x".join(map(str, ready[name]))) if isinstance(ready.get(name), list) else None
                 for column, name in (("screen", "screen"), ("viewport", "window"))}
        said = {f"said_{name}" if name in TAKEN else name: plain(value) for name, value in reader["form"].items()}
        table.append({"reader": reader["reader"], **sides,
                      **{name: number(ready.get(name)) for name in ("pixel_ratio", "frame_ms", "touch")},
                      "sessions": kinds.count("open"), "pauses": kinds.count("pause"), **said})
    return pd.DataFrame(table)


def judge(shown: list[tuple[str, dict]], reply: dict, protocol) -> dict:
    """Truth, method, case, rating and correctness of one answer."""
    case, item = next((pair for pair in shown if pair[1]["truth"] != REAL), shown[0])
    truth = item["truth"]
    if protocol.pair:
        side = LEFT if shown[0][1]["truth"] == REAL else RIGHT
        correct = reply["choice"] == side
        truth = ATTENTION if truth == ATTENTION else side
    elif truth == ATTENTION:
        correct = reply["choice"] == SYNTHETIC if protocol.buttons else reply["quality"] <= 2
    else:
        correct = reply["choice"] == truth if protocol.buttons else None
    rating = None
    if protocol.buttons and not protocol.pair:
        rating = (1 if reply["choice"] == SYNTHETIC else -1) * (reply["confidence"] or 1)
    elif not protocol.buttons:
        rating = -reply["quality"]
    return {"case": case, "method": item["method"], "truth": truth, "correct": correct, "rating": rating,
            "file": item["file"], "group": item["group"]}


def integrity(study, key: dict, head: str | None = None) -> pd.DataFrame:
    """What a reviewer asks of the data: rows check, ok, detail. Nothing here is hidden if it is bad."""
    checks = evidence.checks(study, head)

    def check(name: str, ok: bool, detail: str) -> None:
        checks.append((name, bool(ok), detail))

    check("each reader had the order that the key makes", sealed_orders(study, key), "")
    early = [json.loads(body)["early"] for body, in study.store.rows("select body from log where kind = 'unblind' "
                                                                     "order by seq")]
    early = [reason for reason in early if reason]
    check("unblinded only after closing", not early, "; ".join(early))
    first = study.store.rows("select min(seq) from log where kind = 'unblind'")[0][0]
    late = study.store.rows("select count(*) from log where kind = 'answer' and seq > ?", first or 1 << 60)[0][0]
    check("no answer came after unblinding", not late, f"{late} answers")
    return pd.DataFrame(checks, columns=["check", "ok", "detail"])
