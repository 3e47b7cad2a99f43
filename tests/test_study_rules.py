"""Rules against careless readers: random presses are not called equivalence, careful reading of like images is."""

import numpy as np
import pandas as pd
import pytest
from made import pictures

from uslab.study import PROTOCOLS, SimulatedReader, Study, rules
from uslab.study.analysis import Analysis
from uslab.study.unblind import COLUMNS, judge

RULES = rules.declared({}, PROTOCOLS["yesno_conf"])


def answered(readers: list, n: int = 60, protocol: str = "yesno_conf", attention: int = 5, repeats: float = 0.2):
    """Answers of simulated readers to n real and n synthetic images, as unblind.answers gives them."""
    asked, table = PROTOCOLS[protocol], []
    items = {f"{kind}{i}": {"truth": kind, "method": "gan" if kind == "synthetic" else kind, "file": "", "group": None}
             for kind, count in (("real", n), ("synthetic", n), ("attention", attention)) for i in range(count)}
    again = [f"{kind}{i}" for kind in ("real", "synthetic") for i in range(round(repeats * n))]
    for number, reader in enumerate(readers):
        rng = np.random.default_rng([reader.seed, number])
        own = {name: rng.normal() for name in items}
        for name, phase in [*((name, "attention" if "attention" in name else "main") for name in items),
                            *((name, "repeat") for name in again)]:
            item = items[name]
            reply = reader.respond(asked, [(item["truth"], item["method"], own[name])], 0.5, rng)
            table.append({"reader": f"R{number + 1:02d}", "phase": phase, "rt_ms": 3000.0,
                          **reply, **judge([(name, item)], reply, asked)})
    frame = pd.DataFrame(table).reindex(columns=COLUMNS).assign(position=1, block=1, simulated=True)
    return Analysis(frame.astype({"correct": "boolean", "rating": float}), asked, ["gan"], 0.1, RULES)


@pytest.mark.slow
def test_careless_readers_are_not_declared_equivalent_and_careful_ones_are():
    """Blurred against sharp images, d' = 2, and random presses; images alike, d' = 0, and careful reading."""
    def share(studies: int, **reader) -> float:
        found = [answered([SimulatedReader(seed=100 * i + j, **reader) for j in range(6)], 150)
                 for i in range(studies)]
        return np.mean([one.by_method["what follows"][0].startswith("shown to lie within")
                        or (one.without is not None and
                            one.without.by_method["what follows"].str.startswith("shown to lie within").any())
                        for one in found])

    careless, careful = share(100, dprime=2.0, lapse=1.0), share(25, dprime=0.0)
    assert careless <= 0.05 and careful > 0.5


def test_each_rule_finds_what_it_is_for():
    good = [SimulatedReader(0.0, seed=i) for i in range(4)]
    found = answered(good)
    assert found.withheld == "" and not found.failing and found.without is None
    lazy = answered([*good, SimulatedReader(0.0, lapse=1.0, seed=3)])
    assert list(lazy.failing) == ["R05"] and "of 5 attention items" in lazy.failing["R05"]
    assert "withheld, for R05 missed" in lazy.by_method["what follows"][0]
    assert lazy.without.readers == ["R01", "R02", "R03", "R04"] and lazy.without.withheld == ""
    fast = found.answers.assign(rt_ms=np.where(found.answers.reader == "R02", 500.0, 3000.0))
    again = Analysis(fast, found.protocol, ["gan"], 0.1, RULES)
    assert again.failing == {"R02": "gave 100% of the answers within 700 ms"}
    unsteady = answered([SimulatedReader(0.0, consistency=0.0, seed=i) for i in range(4)])
    assert not unsteady.failing and "do not agree with themselves above chance" in unsteady.withheld
    assert answered(good, attention=2).withheld.startswith("fewer than 5 attention items")
    assert answered(good, repeats=0).withheld == "no image was answered twice"
    # What is told apart is told, careless readers or not; and one reader alone has the same rules.
    told = answered([*[SimulatedReader(2.0, seed=i) for i in range(4)], SimulatedReader(0.0, lapse=1.0, seed=3)])
    assert told.by_method["what follows"][0] == "told apart better than by chance" and told.failing
    assert "withheld, for R05" in lazy.equivalence["what follows"].iloc[-1]


def test_agreement_within_readers_is_tested_against_chance():
    rng = np.random.default_rng(0)
    p = [rules.agreement(pd.DataFrame({"reader": np.repeat(["a", "b"], 10), "first": rng.choice([-1, 1], 20),
                                       "second": rng.choice([-1, 1], 20)})) for _ in range(100)]
    assert np.mean(np.array(p) < 0.05) < 0.12
    same = pd.DataFrame({"reader": "a", "first": [1, -1] * 6})
    assert rules.agreement(same.assign(second=same["first"])) < 0.01
    assert rules.agreement(same.assign(second=-same["first"])) == 1.0
    assert rules.agreement(same.assign(second=1.0)) == 1.0      # one answer all the time agrees with itself by habit


def test_rules_are_declared_at_build_and_sealed(tmp_path):
    design = dict(n_per_method=6, practice=0, attention=0, repeats=0)
    study = Study.build(pictures(20, 0), {"gan": pictures(20, 1)}, out=tmp_path / "s", rules={"one_answer": 0.8},
                        **design)
    assert study.key()["design"]["rules"] == RULES | {"one_answer": 0.8} and RULES["fast_ms"] == 700
    for wrong, message in (({"speed": 1}, "no rule 'speed'; the rules are"), ({"one_answer": 90}, "one_answer is 90")):
        with pytest.raises(ValueError, match=message):
            Study.build(pictures(20, 0), {"gan": pictures(20, 1)}, out=tmp_path / "t", rules=wrong, **design)
