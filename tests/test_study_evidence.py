"""What an attacker makes of public/, and what the report notices of a study that was changed after it was built."""

import hashlib
import json
import sqlite3
from collections import defaultdict

import numpy as np
import pytest
from made import pictures
from scipy.optimize import Bounds, LinearConstraint, milp

from uslab.cli.main import main
from uslab.study import Study, evidence, lock
from uslab.study.build import orders
from uslab.study.pack import commitment
from uslab.study.store import Store, digest
from uslab.study.unblind import integrity


@pytest.fixture
def study(tmp_path):
    """A default study of 16 pixels, with two readers of whom one has answered five trials."""
    study = Study.build(pictures(80, 0), {"gan": pictures(80, 1)}, out=tmp_path / "study")
    session = study.session(study.invite("Dr A"))
    study.invite("Dr B")
    session.consent(study.consent_sha256)
    for i in range(5):
        session.answer(session.next().trial, "real", 1, nonce=f"nonce {i:04d}")
    return study


# The truth from the orders

def blocks_of(tables: list[list[tuple]]) -> list[set[str]]:
    """Images of each block of the main part, from whatever rows name them beside phase and block."""
    found = defaultdict(set)
    for number, rows in enumerate(tables):
        for row in rows:
            for place, value in enumerate(row):
                if value == "main":
                    found[number, row[0], row[place + 1]].add(row[place + 2])
    return list(found.values())


def solve(names: list[str], blocks: list[set[str]]) -> np.ndarray:
    """1 for 'synthetic' by integer programming: as many of either class in each block, of an odd number one more."""
    rows = np.array([[name in block for name in names] for block in blocks], float).reshape(len(blocks), len(names))
    size = rows.sum(1)
    known = LinearConstraint(np.vstack([rows, np.ones(len(names))]), np.floor([*size / 2, len(names) / 2 - 5]),
                             np.ceil([*size / 2, len(names) / 2]))
    cost = np.random.default_rng(0).random(len(names))
    return milp(cost, integrality=np.ones(len(names)), bounds=Bounds(0, 1), constraints=known,
                options={"time_limit": 20}).x.round()


def share(study: Study, tables: list[list[tuple]]) -> float:
    """Share of the main images whose class the attack finds; which class is which one image tells."""
    key = study.key()["stimuli"]
    blocks = blocks_of(tables)
    names = sorted(set().union(*blocks)) or [name for name in study.pack.names if key[name]["phase"] == "main"]
    right = (solve(names, blocks) == [key[name]["truth"] == "synthetic" for name in names]).mean()
    return max(right, 1 - right)


def test_public_does_not_tell_the_truth_to_integer_programming(study):
    database = sqlite3.connect(study.store.path)
    readable = [database.execute(f"select * from {name}").fetchall() for name, in
                database.execute("select name from sqlite_master where type = 'table'")]
    lines = [[tuple(json.loads(line).values()) for line in study.store.mirror.read_text().splitlines()]]
    found = share(study, [*readable, *lines])
    # The same attack where orders can be read, as the sealed key makes them.
    open_orders = [[(row[1], row[2], row[3], row[4]) for row in order] for order in orders(study.key())]
    named = [[(f"slot {slot}", *row[1:]) for row in order] for slot, order in enumerate(open_orders)]
    assert share(study, named) > 0.95 and found < 0.75


def test_a_readers_code_opens_their_order_and_no_other(study):
    a, b = study.invite("Dr C"), study.invite("Dr D")
    assert study.session(a).next is not None
    assert study.session(a)._plan != study.session(b)._plan
    sealed = dict(study.store.rows("select reader, sealed from code"))
    with pytest.raises(ValueError, match="does not open it"):
        lock.unlock(lock.of_code(a), sealed["R04"])


def test_a_lost_code_is_replaced_and_a_reader_too(study):
    old = study.invite("Dr C")
    session = study.session(old)
    session.consent(study.consent_sha256)
    session.answer(session.next().trial, "real", 1, nonce="nonce 1234")
    new = study.reissue("Dr C")
    with pytest.raises(ValueError, match="not known here"):
        study.session(old)
    assert study.session(new).progress[0] == 1 and study.session(new)._plan == session._plan
    other = study.session(study.invite("Dr E", replacing="Dr C"))
    assert other.reader == "R04" and other._plan == session._plan and other.progress[0] == 0
    study.withdraw("Dr C")
    assert study.status().state.tolist() == ["reading", "invited", "withdrawn", "invited"]
    with pytest.raises(ValueError, match="there is no reader 'Dr X'"):
        study.reissue("Dr X")
    assert all(ok for _, ok, _ in evidence.checks(study))


# What was changed

def unlocked(study: Study) -> sqlite3.Connection:
    """The database without the triggers that keep honest programs from changing it."""
    database = sqlite3.connect(study.store.path)
    for name, in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        database.execute(f"drop trigger {name}")
    return database


def chain_anew(study: Study, change) -> None:
    """Change rows of the log and make the chain and the mirror anew, as who knows how it is made can."""
    database, head = unlocked(study), ""
    for row in database.execute("select seq, at, reader, kind, trial, nonce, body from log order by seq").fetchall():
        values = list(change(row))
        head = digest(head, values)
        database.execute("update log set body = ?, hash = ? where seq = ?", (values[-1], head, row[0]))
    database.commit()
    study.store.mirror.unlink()
    Store(study.public).close()


def about(study: Study, **changes) -> None:
    path = study.public / "study.json"
    path.write_text(json.dumps(study.about | changes, indent=1))


def failed(study: Study, head: str | None = None) -> list[str]:
    study = Study.open(study.folder)
    found = integrity(study, study.key(), head)
    return found.check[~found.ok].tolist()


def test_nothing_fails_in_a_sound_study(study):
    heads = [line.split()[1] for line in (study.folder / "deposit_build.txt").read_text().splitlines()
             if line.startswith("head")]
    assert len(heads) == 1 and failed(study, heads[0]) == failed(study) == []
    study.close()
    assert failed(study, (study.folder / "deposit_close.txt").read_text().split()[-1]) == []


def test_a_margin_changed_in_key_and_commitment_is_noticed(study):
    path = study.folder / "SEALED/key.json"
    content = json.loads(path.read_text())
    content["key"]["design"]["margin"] = 0.3
    path.write_text(json.dumps(content))
    about(study, key_commitment=commitment(content["key"], content["nonce"]))
    assert {name.split(":")[0] for name in failed(study)} >= {"the hash of the key"}


@pytest.mark.parametrize("what", ["question", "consent", "title"])
def test_changed_words_are_noticed(study, what):
    protocol = study.about["protocol"]
    about(study, **({"title": "Another"} if what == "title" else {"protocol": protocol | {what: "Another?"}}))
    assert [name.split()[0] for name in failed(study)] == ["study.json"]


def test_two_readers_whose_orders_were_swapped_are_noticed(study):
    database = unlocked(study)
    database.execute("update reader set slot = 1 - slot where slot < 2")
    database.commit()
    assert failed(study) == ["readers, orders and codes: as the chain says"]


def test_a_changed_mirror_is_noticed(study):
    text = study.store.mirror.read_text()
    study.store.mirror.write_text(text.replace('"choice": "real"', '"choice": "synthetic"', 1))
    assert failed(study) == ["the mirror: the same rows as the log"]


def test_everything_written_anew_is_noticed_by_the_deposited_head(study, tmp_path, capsys):
    study.close()
    head = (study.folder / "deposit_close.txt").read_text().split()[-1]
    about(study, title="Another")
    now = hashlib.sha256((study.public / "study.json").read_bytes()).hexdigest()

    def change(row):
        body = json.loads(row[-1])
        if row[3] == "build":
            body["study"] = now
        if row[3] == "answer":
            body["choice"] = "synthetic"
        return (*row[:-1], json.dumps(body, sort_keys=True))

    chain_anew(study, change)
    assert failed(study) == [] and failed(study, head) == ["the deposited head stands in the chain"]
    for command in ("unblind", "report"):
        assert main(["study", command, str(study.folder), *(["--head", head] if command == "report" else [])]) == 0
    text = (study.folder.parent / "study_report/report.md").read_text()
    assert "1 of the checks of key, log and orders FAILED" in text


def test_one_changed_answer_is_noticed(study):
    database = unlocked(study)
    database.execute("""update log set body = replace(body, '"real"', '"fake"') where trial = 't0002'""")
    database.commit()
    assert failed(study)[0] == "the chain of the log is whole"
