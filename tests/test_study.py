"""Reader studies: order, pack, sealed key, and a store that loses, doubles and hides nothing."""

import hashlib
import json
import re
import shutil
import sqlite3
import stat
import threading
from collections import Counter

import numpy as np
import pytest
from made import pictures, save, scan
from scipy.stats import chi2_contingency

from uslab.study import PROTOCOLS, Protocol, SimulatedReader, Study, lock, plan
from uslab.study.build import rows
from uslab.study.protocol import PRESETS
from uslab.study.store import Closed, Store


@pytest.fixture
def make(tmp_path):
    """A function that builds a study of noise pictures."""

    def build(protocol="yesno_conf", methods=("gan",), n=10, name="study", **design) -> Study:
        images = {method: pictures(3 * n + 8, i + 1) for i, method in enumerate(methods)}
        return Study.build(pictures(4 * n * len(methods) + 20, 0), images, protocol, out=tmp_path / name,
                           n_per_method=n, **design)

    return build


def reader(study: Study, label: str = "Dr A", form: dict | None = None):
    """A new reader who has consented."""
    session = study.session(study.invite(label))
    session.consent(study.consent_sha256, form)
    return session


def nonce(text) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()[:16]


# Order

@pytest.mark.slow
@pytest.mark.parametrize("counts", [(6, 2, 2, 2), (34, 34), (11, 57)])
def test_position_tells_nothing_of_the_class(counts):
    strata = np.repeat(np.arange(len(counts)), counts)
    table = np.zeros((len(strata), len(counts)), int)
    for seed in range(10_000):
        items, _ = plan.order(strata, plan.generator(b"secret", seed))
        table[np.arange(len(items)), strata[items]] += 1
    assert (table.sum(0) == 10_000 * np.array(counts)).all()
    # Each order has the same counts, so the test is a little conservative: a low p would mean a dependence.
    assert chi2_contingency(table).pvalue > 0.001
    assert np.abs(table / 10_000 - np.array(counts) / len(strata)).max() < 0.025


@pytest.mark.parametrize("counts, length", [((120, 40, 40, 40), 18), ((34, 34), 16), ((20, 20), 16), ((10, 5), 15)])
def test_every_block_holds_the_strata_in_their_shares(counts, length):
    strata = np.repeat(np.arange(len(counts)), counts)
    for seed in range(50):
        items, block = plan.order(strata, plan.generator(b"secret", seed))
        assert sorted(items) == list(range(len(strata)))
        for number in np.unique(block):
            members = strata[items[block == number]]
            shares = np.bincount(members, minlength=len(counts)) * sum(counts)
            assert (shares == np.array(counts) * len(members)).all()
        assert (block == 0).sum() == length


def test_blocks_are_nearly_balanced_where_they_cannot_be_exactly():
    strata = np.repeat([0, 1], [11, 57])
    for seed in range(50):
        items, block = plan.order(strata, plan.generator(b"secret", seed))
        real = [int((strata[items[block == number]] == 0).sum()) for number in range(4)]
        assert sum(real) >= 10 and set(real) <= {2, 3}


def test_the_next_class_cannot_be_told_from_the_last():
    """Within a block classes are shuffled: no alternation, no runs beyond those of a shuffle of a block."""
    strata = np.repeat([0, 1], 32)
    same = np.array([(np.diff(strata[plan.order(strata, plan.generator(b"s", seed))[0]])[:15] == 0).mean()
                     for seed in range(4000)])
    assert abs(same.mean() - 7 / 15) < 0.01     # of a shuffle of 8 and 8


def test_repetitions_keep_their_distance_and_their_shares():
    strata = np.repeat([0, 1, 2], [40, 20, 20])
    for seed in range(100):
        rng = plan.generator(b"secret", seed)
        table = plan.with_extras(*plan.order(strata, rng), strata, 0.15, 3, rng)
        at = {item: i for i, (phase, item, _) in enumerate(table) if phase == "main"}
        again = {item: i for i, (phase, item, _) in enumerate(table) if phase == "repeat"}
        assert len(at) == 80 and Counter(strata[list(again)].tolist()) == {0: 6, 1: 3, 2: 3}
        assert all(again[item] - at[item] >= plan.DISTANCE for item in again)
        assert sum(phase == "attention" for phase, *_ in table) == 3
        assert [block for *_, block in table] == sorted(block for *_, block in table)
    few = np.repeat([0, 1, 2, 3], 5)        # early trials may lack a stratum: as many are repeated all the same
    for seed in range(300):
        rng = plan.generator(b"secret", seed)
        table = plan.with_extras(*plan.order(few, rng), few, 0.2, 0, rng)
        again = [item for phase, item, _ in table if phase == "repeat"]
        assert len(again) == len(set(again)) == 4
    with pytest.raises(ValueError, match="cannot be repeated 7 trials apart"):
        plan.with_extras(*plan.order(strata[:14], rng), strata[:14], 1.0, 0, rng)


@pytest.mark.slow
def test_sides_are_exactly_balanced(make):
    study = make("2afc", methods=("a", "b"), n=10, readers=6)
    key = study.key()
    for slot in range(6):
        left = Counter()
        for _, _, phase, _, stimuli, flip, _ in rows(key, slot):
            items = [key["stimuli"][name] for name in stimuli.split(",")]
            assert sorted(item["truth"] == "real" for item in items) == [False, True] and not flip
            if phase == "main":
                assert items[0]["pair"] == items[1]["pair"]
                method = next(item["method"] for item in items if item["truth"] == "synthetic")
                left[method, items[0]["truth"] == "real"] += 1
        assert left == {(method, side): 5 for method in "ab" for side in (True, False)}
    for groups in ([0] * 7, [0] * 7 + [1] * 8):
        side = plan.sides(np.array(groups), plan.generator(b"x", 1))
        assert side[:7].sum() in (3, 4) and (len(groups) == 7 or side[7:].sum() == 4)


def test_orders_need_the_secret_and_differ_between_readers(make):
    one, other = make(name="one"), make(name="other")
    assert one.key()["seed"] == other.key()["seed"]
    classes = [[study.key()["stimuli"][name]["truth"] for _, _, phase, _, name, *_ in rows(study.key(), slot)
                if phase == "main"] for study in (one, other) for slot in (0, 1)]
    assert len({tuple(order) for order in classes}) == 4
    secret = one.key()["secret"]
    assert one.order(1, lock.order_key(secret, 1)) == rows(one.key(), 1)
    with pytest.raises(ValueError, match="does not open it"):
        one.order(1, lock.order_key(secret, 0))


# Pack and key

def test_public_folder_holds_no_truth(make, tmp_path):
    study = make(methods=("canary_gan", "canary_other"), attention=2, practice=4)
    key = study.key()
    assert stat.S_IMODE((study.folder / "SEALED/key.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((study.folder / "SEALED").stat().st_mode) == 0o700
    everything = b"".join(path.read_bytes() for path in study.public.iterdir())
    secrets = [key["secret"], *(item["sha256"] for item in key["stimuli"].values())]
    assert b"canary" not in everything and not any(secret.encode() in everything for secret in secrets)
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in study.pack.names)
    assert study.pack.names == sorted(key["stimuli"])
    # The opaque names are in the order of a keyed hash, so neither the rows of the pack nor the names tell a class.
    beside = b"".join(path.read_bytes() for path in study.public.iterdir() if path != study.pack.path)
    assert not any(name.encode() in beside for name in key["stimuli"])
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [study.public, *study.public.iterdir()])


def test_names_of_stimuli_do_not_repeat_between_studies(make):
    assert not set(make(name="a").pack.names) & set(make(name="b").pack.names)


def test_the_seed_chooses_the_images(make):
    files = [sorted(item["file"] for item in make(name=f"s{i}", seed=seed).key()["stimuli"].values())
             for i, seed in enumerate((3, 3, 4))]
    assert files[0] == files[1] != files[2]


def test_one_preparation_for_all(tmp_path):
    for i in range(12):
        save(tmp_path / "real" / f"patient_{i}.png", scan(i, 120, 160))
        save(tmp_path / "fake" / f"fake_{i}.jpg", scan(100 + i, 90, 90))
    design = dict(n_per_method=4, practice=2, attention=0, repeats=0, readers=1, acknowledge_text=True)
    study = Study.build(tmp_path / "real", {"gan": tmp_path / "fake"}, out=tmp_path / "s", **design)
    assert study.pack.shape == (90, 90)      # the smallest origin's, so nothing is enlarged
    from uslab.data.files import read_grey
    from uslab.data.prepare import square

    for name, item in study.key()["stimuli"].items():
        folder = "real" if item["truth"] == "real" else "fake"
        expected = square(read_grey(tmp_path / folder / item["file"])[0], 90)
        np.testing.assert_array_equal(study.pack[name], expected)
        assert hashlib.sha256(expected.tobytes()).hexdigest() == item["sha256"]
    with pytest.raises(ValueError, match="size is 120, but gan has images of 90 pixels"):
        Study.build(tmp_path / "real", {"gan": tmp_path / "fake"}, out=tmp_path / "t", size=120, **design)
    assert not (tmp_path / "t").exists()


def test_text_is_refused_until_acknowledged(tmp_path):
    import cv2

    real, fake = [np.stack([scan(seed + i, 200, 200) // 2 for i in range(6)])[:, None] for seed in (0, 50)]
    for image in real[:, 0]:
        cv2.putText(image, "GE LOGIQ 12", (40, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    design = dict(n_per_method=3, practice=0, attention=0, repeats=0, readers=1)
    with pytest.raises(ValueError, match="3 images seem to hold burnt-in text.*real: real"):
        Study.build(real, {"gan": fake}, out=tmp_path / "s", **design)
    assert not (tmp_path / "s").exists()
    study = Study.build(real, {"gan": fake}, out=tmp_path / "s", acknowledge_text=True, **design)
    assert study.about["text_acknowledged"]


def test_runs_and_saved_sets_are_sources(tmp_path):
    import torch
    from safetensors.torch import save_file

    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    design = dict(out=tmp_path / "s", n_per_method=3, practice=0, attention=0, repeats=0, readers=1)
    with pytest.raises(FileNotFoundError, match="gan: .*run is a run that kept no set of samples"):
        Study.build(pictures(9, 0), {"gan": run}, **design)
    for step, seed in ((10, 1), (200, 2)):
        save_file({"images": torch.from_numpy(pictures(5, seed))}, run / "samples" / f"{step:06d}.safetensors")
    study = Study.build(pictures(9, 0), {"gan": run}, **design)
    files = {item["file"].split()[0] for item in study.key()["stimuli"].values() if item["truth"] == "synthetic"}
    assert files == {"000200.safetensors"}


def test_images_come_from_as_many_patients_as_there_are():
    from uslab.study.pack import Source, choose

    images = list(pictures(12, 0)[:, 0])
    images[11] = images[0]
    source = Source("real", images, [str(i) for i in range(12)], ["a"] * 6 + ["b"] * 3 + ["c"] * 3)
    for seed in range(20):
        chosen = choose(source, 6, np.random.default_rng(seed))
        assert Counter(source.groups[i] for i in chosen) == {"a": 2, "b": 2, "c": 2}
        assert not {0, 11} <= set(choose(source, 11, np.random.default_rng(seed)))
    with pytest.raises(ValueError, match="real: 12 different images are needed, but there are 11 .12 with copies"):
        choose(source, 12, np.random.default_rng(0))


@pytest.mark.parametrize("change, message", [
    ({"protocol": "guess"}, "no protocol 'guess'"),
    ({"synthetic": {}}, "synthetic must map"),
    ({"synthetic": {"Real": None}}, "'Real' cannot be the name of a method"),
    ({"practice": 3}, "practice is 3; it must be even"),
    ({"repeats": 15}, "repeats is 15; it is a share"),
    ({"n_per_method": 0}, "n_per_method is 0"),
    ({"margin": 0.5}, "margin is 0.5; it must lie between 0 and 0.5"),
    ({"n_per_method": 500}, "real: 502 different images are needed, but there are 60"),
    ({"protocol": "2afc", "n_real": 4}, "n_real cannot be set with pairs"),
    ({"real": np.zeros((4, 3, 8, 8), np.uint8)}, "real: give an ImageSet, a folder, or grey images"),
    ({"real": "nowhere"}, "real: nowhere is neither a folder"),
])
def test_bad_designs_name_the_value(tmp_path, change, message):
    values = {"real": pictures(60, 0), "synthetic": {"gan": pictures(60, 1)}, "n_per_method": 20} | change
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Study.build(**values, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_an_image_in_both_classes_is_refused(tmp_path):
    images = pictures(8, 0)
    with pytest.raises(ValueError, match="shows the same pixels as real"):
        Study.build(images, {"gan": images}, out=tmp_path / "s", n_per_method=8, practice=0, attention=0, repeats=0)


def test_key_must_be_the_one_committed_to(make):
    study = make()
    path = study.folder / "SEALED/key.json"
    content = json.loads(path.read_text())
    name = next(iter(content["key"]["stimuli"]))
    item = content["key"]["stimuli"][name]
    item["truth"] = "synthetic" if item["truth"] == "real" else "real"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not the key that this study was built with"):
        study.key()
    path.unlink()
    with pytest.raises(FileNotFoundError, match="key.json is missing: name the sealed key's file"):
        study.key()
    with pytest.raises(FileExistsError, match="is not empty"):
        Study.build(pictures(9, 0), {"gan": pictures(9, 1)}, out=study.folder)


# Protocols

def test_protocols_survive_json_and_refuse_what_cannot_be_pressed():
    for protocol in PROTOCOLS.values():
        assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol
        for button in protocol.buttons:
            protocol.check(button.choice, button.confidence, 1 if protocol.quality else None)
    with pytest.raises(ValueError, match="with confidence 4; yesno_conf takes"):
        PROTOCOLS["yesno_conf"].check("real", 4, None)
    with pytest.raises(ValueError, match="quality is 6; likert asks for a whole number from 1 to 5"):
        PROTOCOLS["likert"].check(None, None, 6)
    with pytest.raises(ValueError, match="quality is 3, but yesno does not ask"):
        PROTOCOLS["yesno"].check("real", None, 3)


def test_presets_are_the_papers_designs(make):
    # Bautista: 68 images; 32 of 57 is the only fraction below 140 that rounds to the printed 56.14 %.
    fractions = [(k, n) for n in range(1, 69) for k in range(n + 1) if round(100 * k / n, 2) == 56.14]
    design = PRESETS["bautista2022"].design
    assert fractions == [(32, design["n_per_method"])] and design["n_per_method"] + design["n_real"] == 68
    assert make("bautista2022", n=57).key()["design"]["n_real"] == 11
    study = make("liang2020", methods=("cGAN", "Sgan", "PGSGan"), n=5, name="liang")
    assert Counter(item["method"] for item in study.key()["stimuli"].values()) == {
        "real": 15, "cGAN": 5, "Sgan": 5, "PGSGan": 5}
    assert study.protocol.name == "yesno" and len(study.store.rows("select slot from plan")) == 3


# Sessions and store

def test_a_trial_tells_neither_truth_nor_phase(make):
    study = make(attention=2, repeats=0.5, practice=4, n=20)
    session = reader(study)
    phases = Counter()
    while trial := session.next():
        assert set(vars(trial)) == {"trial", "pixels", "buttons", "quality", "phase", "block", "position", "n",
                                    "exposure_ms", "mask_ms", "beside"}
        assert trial.beside == {}
        assert trial.pixels.shape == (1, 16, 16) and trial.pixels.dtype == np.uint8
        phases[trial.phase] += 1
        assert trial.position == phases[trial.phase]
        assert re.fullmatch(r"t\d{4}", trial.trial) and trial.n == (4 if trial.phase == "practice" else 62)
        reply = session.answer(trial.trial, "real", 2, nonce=nonce(trial.trial))
        assert set(reply) == {"nonce", "counts"} | ({"truth"} if trial.phase == "practice" else set())
    assert phases == {"practice": 4, "main": 62}
    stimuli = study.key()["stimuli"]
    practice = [stimuli for _, _, phase, _, stimuli, *_ in rows(study.key(), 0) if phase == "practice"]
    replies = [session.answer(f"t{i:04d}", "real", 2, nonce=nonce(f"t{i:04d}"))["truth"] for i in range(1, 5)]
    assert replies == [stimuli[name]["truth"] for name in practice] and Counter(replies) == {"real": 2, "synthetic": 2}


def test_an_answer_counts_exactly_once(make):
    study = make()
    session = reader(study)
    first = session.next().trial
    reply = session.answer(first, "real", 3, rt_ms=812.5, nonce=nonce(1))
    assert session.answer(first, "real", 3, rt_ms=812.5, nonce=nonce(1)) == reply and reply["counts"]
    other = study.session(study.invite("Dr B"))        # the same nonce of another reader is another answer
    other.consent(study.consent_sha256)
    assert other.answer(other.next().trial, "real", 1, nonce=nonce(1))["counts"]
    # A second window of the first reader comes too late.
    assert not session.answer(first, "synthetic", 3, nonce=nonce(2))["counts"]
    with pytest.raises(ValueError, match="not due yet"):
        session.answer("t0005", "real", 3, nonce=nonce(3))
    with pytest.raises(ValueError, match="came again with trial t0002"):
        session.answer("t0002", "real", 3, nonce=nonce(1))
    with pytest.raises(ValueError, match="no trial 't9999'"):
        session.answer("t9999", "real", 3, nonce=nonce(4))
    kept = study.store.rows("select trial, body from log where kind = 'answer' and reader = 'R01'")
    assert len(kept) == 1 and json.loads(kept[0][1])["rt_ms"] == 812.5
    assert session.progress == (1, session.progress[1]) and session.next().trial == "t0002"
    assert session.next(ahead=1).trial == "t0003"


def test_consent_comes_first_and_names_its_text(make):
    study = make()
    session = study.session(study.invite("Dr A"))
    with pytest.raises(ValueError, match="has not consented"):
        session.next()
    with pytest.raises(ValueError, match="another consent text"):
        session.consent("0" * 64)
    session.consent(study.consent_sha256, {"role": "engineer"})
    assert session.next() and study.readers()[0]["form"] == {"role": "engineer"}
    with pytest.raises(ValueError, match="this invitation is not known"):
        study.session("guess")
    with pytest.raises(ValueError, match="'answer' is no event of a page"):
        session.event("answer")


def test_withdrawal_deletes_the_form_and_keeps_the_chain(make):
    study = make()
    session = reader(study, "Dr Canary Name", {"role": "canary role"})
    session.answer(session.next().trial, "real", 3, nonce=nonce(1))
    reader(study, "Dr B")
    session.withdraw()
    session.withdraw()
    assert session.next() is None
    with pytest.raises(ValueError, match="withdrawn"):
        session.answer("t0002", "real", 3, nonce=nonce(2))
    everything = b"".join(path.read_bytes() for path in study.public.iterdir())
    assert b"anary" not in everything
    count, _ = study.store.verify()
    assert count == len(study.store.mirror.read_bytes().splitlines())
    assert study.status().state.tolist() == ["withdrawn", "consented"]


def test_log_cannot_be_changed_unseen(make):
    study = make()
    session = reader(study)
    for i in range(3):
        session.answer(session.next().trial, "real", 3, nonce=nonce(i))
    for sql in ("update log set body = '{}'", "delete from log", "update plan set slot = 9", "delete from code",
                "delete from reader"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            study.store.rows(sql)
    study.store.verify()
    db = sqlite3.connect(study.store.path)
    db.execute("drop trigger log_no_update")
    db.execute("""update log set body = replace(body, '"real"', '"fake"') where trial = 't0002'""")
    db.commit()
    with pytest.raises(ValueError, match="row 5 of the log was changed"):
        study.store.verify()


def test_invitations_end_with_the_orders_and_with_the_study(make):
    study = make(readers=2)
    reader(study, "A")
    with pytest.raises(ValueError, match="'A' is invited already"):
        study.invite("A")
    with pytest.raises(ValueError, match="people and simulated readers"):
        study.autoplay(SimulatedReader())
    session = reader(study, "B")
    with pytest.raises(ValueError, match="all 2 orders are given out"):
        study.invite("C")
    session.answer("t0001", "real", 3, nonce=nonce(1))
    study.close()
    study.close()
    assert session.next() is None and session.answer("t0001", "real", 3, nonce=nonce(1))["counts"]
    with pytest.raises(Closed, match="the study is closed"):
        session.answer("t0002", "real", 3, nonce=nonce(2))
    assert len(study.store.rows("select 1 from log where kind = 'close'")) == 1


@pytest.mark.slow
def test_threads_and_processes_share_the_store(make):
    study = make(n=20, readers=4)
    codes = [study.invite(label) for label in "ABCD"]
    for code in codes:
        study.session(code).consent(study.consent_sha256)
    replies = []

    def work(code: str, window: int, shared: Study):
        session = shared.session(code)
        while trial := session.next():
            try:
                reply = session.answer(trial.trial, "real", 1, nonce=nonce((code, window, trial.trial)))
                replies.append((code, trial.trial, reply["counts"]))
            except ValueError as error:      # the other window was faster by two trials
                assert "not due" in str(error)

    shared = [study, Study.open(study.folder)]   # two connections, each used by several threads
    threads = [threading.Thread(target=work, args=(code, window, shared[window])) for code in codes
               for window in (0, 1)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    n = study.about["n_trials"]
    wins = Counter((code, trial) for code, trial, counts in replies if counts)
    assert len(wins) == 4 * n and set(wins.values()) == {1}
    count, head = study.store.verify()
    lines = [json.loads(line) for line in study.store.mirror.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, count + 1)) and lines[-1]["hash"] == head


def test_mirror_heals_after_a_torn_line(make):
    study = make()
    session = reader(study)
    session.answer("t0001", "real", 1, nonce=nonce(1))
    whole = study.store.mirror.read_bytes()
    for cut in (1, 30, len(whole.splitlines()[-1]) + 5, len(whole)):
        study.store.mirror.write_bytes(whole[:-cut])
        Study.open(study.folder)
        assert study.store.mirror.read_bytes() == whole


def test_a_study_is_moved_and_backed_up_while_it_runs(make, tmp_path):
    study = make(n=30)
    session = reader(study)
    stop = threading.Event()

    def answering():
        while not stop.is_set() and (trial := session.next()):
            session.answer(trial.trial, "real", 1, nonce=nonce(trial.trial))

    thread = threading.Thread(target=answering)
    thread.start()
    while session.progress[0] < 5:
        pass
    copies = []
    for i in range(3):
        before = session.progress[0]
        copies.append((Study.open(study.backup(tmp_path / f"backup{i}")), before))
    stop.set()
    thread.join()
    for copy, before in copies:
        answers = copy.store.rows("select count(*) from log where kind = 'answer'")[0][0]
        assert copy.store.verify()[0] == answers + 3 and answers >= before
        assert len(copy.store.mirror.read_bytes().splitlines()) == answers + 3
    study.store.close()
    shutil.move(study.folder, tmp_path / "elsewhere")
    assert Study.open(tmp_path / "elsewhere/public").store.verify()[0] > 5
    with pytest.raises(FileExistsError):
        copies[0][0].backup(tmp_path / "backup0")


def test_rollback_journal_where_shared_memory_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("uslab.study.store.on_network", lambda folder: True)
    store = Store(tmp_path, create=True)
    assert store.mode == "delete" and store.rows("pragma synchronous")[0][0] == 2
    assert store.answer("R01", "t1", "n", {}) and not store.answer("R01", "t1", "m", {})
    monkeypatch.undo()
    assert Store(tmp_path).mode == "wal"


def test_a_damaged_database_is_refused(make):
    study = make()
    study.store.close()
    path = study.store.path
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\x07" * 4096 + content[8192:])
    with pytest.raises(ValueError, match="answers.db is damaged.*Every answer is in answers.jsonl too"):
        Study.open(study.folder)


@pytest.mark.parametrize(("code", "words"), [
    (sqlite3.SQLITE_FULL, "database or disk is full"), (sqlite3.SQLITE_BUSY, "database is locked"),
    (sqlite3.SQLITE_READONLY_DIRECTORY, "attempt to write a readonly database")])
def test_a_full_disk_is_not_called_damage(make, monkeypatch, code, words):
    study = make()
    study.store.close()

    class Database:
        def execute(self, statement):
            error = sqlite3.OperationalError(words)
            error.sqlite_errorcode = code
            raise error

        def close(self):
            pass

    with monkeypatch.context() as patch:
        patch.setattr("sqlite3.connect", lambda *_, **__: Database())
        with pytest.raises(OSError, match=rf"answers\.db cannot be opened \({words}\): nothing in it is lost"):
            Study.open(study.folder)
    assert Study.open(study.folder).store.verify()[0]


def test_a_plain_copy_while_readers_answer_loses_no_answer(make, tmp_path):
    """Copied file by file in the middle: the mirror holds all that was acknowledged; the database is sound or not."""
    study = make(n=60, repeats=0)
    session = reader(study)
    stop = threading.Event()

    def answering():
        while not stop.is_set() and (trial := session.next()):
            session.answer(trial.trial, "real", 1, nonce=nonce(trial.trial))

    thread = threading.Thread(target=answering)
    thread.start()
    copies = []
    for i in range(6):
        before = session.progress[0]
        copies.append((shutil.copytree(study.public, tmp_path / f"copy{i}/public",
                                       ignore=shutil.ignore_patterns("*-shm")), before))
    stop.set()
    thread.join()
    sound = 0
    for copy, before in copies:
        lines = [line for line in (copy / "answers.jsonl").read_text().splitlines(keepends=True) if line.endswith("\n")]
        assert sum(json.loads(line)["kind"] == "answer" for line in lines) >= before
        try:
            assert Study.open(copy).store.verify()[0] >= 3
            sound += 1
        except ValueError as error:
            assert "is damaged" in str(error)
    assert sound


def test_a_study_of_another_version_is_refused_in_one_line(make):
    study = make()
    path = study.public / "study.json"
    path.write_text(json.dumps(study.about | {"version": 1}))
    with pytest.raises(ValueError, match="another version of uslab .format 1, this one reads 2"):
        Study.open(study.folder)
