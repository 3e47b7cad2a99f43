"""From answers with their truth to tables: each reader, each method, agreement, several readers, learning, times."""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from uslab.score import Score, detection, proportion, table
from uslab.study import agreement, mrmc, rules
from uslab.study import statistics as st
from uslab.study.protocol import LEFT, REAL, SYNTHETIC, Protocol

ALL = "all"             # of all methods, or of all readers, together
MARGIN = 0.1            # of equivalence, where the organiser names none
NUMBERS = ("value", "low", "high", "n")


@dataclass(frozen=True)
class Analysis:
    """Every table of the report. Practice is nowhere in it; repeated and attention items only where they are named."""

    answers: pd.DataFrame   # from unblind.answers
    protocol: Protocol
    methods: list[str]      # in the order in which they were given
    margin: float = MARGIN  # of equivalence with chance
    rules: dict = field(default_factory=lambda: rules.RULES | {"fast_ms": 700})   # as they were declared at build

    @cached_property
    def main(self) -> pd.DataFrame:
        return self.answers[self.answers.phase == "main"]

    @cached_property
    def readers(self) -> list[str]:
        return sorted(self.main.reader.unique())

    @property
    def rated(self) -> bool:
        """Readers gave their confidence."""
        return bool(self.protocol.buttons and self.protocol.buttons[0].confidence)

    @property
    def merit(self) -> str:
        """What the figures of merit of methods are."""
        if self.protocol.pair:
            return "share of pairs with the right answer"
        kind = ("of quality" if not self.protocol.buttons else "of the six steps of confidence"
                if self.rated else "of two answers (the mean of both rates)")
        return f"area under the ROC curve {kind}"

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """Tidy: reader, method, measure, value, low, high, n, note; method 'all' is over all methods."""
        rows = []
        for reader in self.readers:
            own = self.main[self.main.reader == reader]
            for method in [ALL, *self.methods] if len(self.methods) > 1 else [ALL]:
                chosen = own if method == ALL else own[own.method.isin([REAL, method])]
                rows += [score.as_dict() | {"reader": reader, "method": method}
                         for score in self.measures(chosen, method == ALL)]
        return tidy(rows, "reader", "method", "measure", *NUMBERS, "note")

    def measures(self, own: pd.DataFrame, whole: bool) -> list[Score]:
        """The measures of one reader's answers; `whole`: to all images, so that the plain accuracy has a meaning."""
        right = int(own.correct.fillna(False).sum())
        if self.protocol.pair:
            return [*st.forced_choice(right, len(own)),
                    proportion((own.choice == LEFT).sum(), len(own), "share of answers 'left'")]
        real, synthetic = own[own.truth == REAL], own[own.truth == SYNTHETIC]
        found = []
        if self.protocol.buttons:
            hits, alarms = int((synthetic.choice == SYNTHETIC).sum()), int((real.choice == SYNTHETIC).sum())
            found += [proportion(right, len(own), "accuracy")] if whole else []
            found += [st.area(real.choice == SYNTHETIC, synthetic.choice == SYNTHETIC, "balanced accuracy"),
                      proportion(hits, len(synthetic), "synthetic called synthetic"),
                      proportion(alarms, len(real), "real called synthetic"),
                      *detection(hits, len(synthetic), alarms, len(real))]
        if not self.protocol.buttons or self.rated:
            found.append(st.area(real.rating, synthetic.rating))
        return found

    @cached_property
    def flags(self) -> pd.DataFrame:
        """One row a reader: what the rules look at, and which of them the reader fails."""
        return rules.by_reader(self.answers, self.protocol, self.rules)

    @cached_property
    def failing(self) -> dict[str, str]:
        """Readers who fail a rule, and how."""
        return {row.reader: row.fails for row in self.flags.itertuples() if row.fails}

    @cached_property
    def withheld(self) -> str:
        """Why no equivalence may be concluded, in words: careless readers look like images that are alike."""
        return rules.withheld(self.answers, self.protocol, self.rules, self.readers)

    @cached_property
    def without(self) -> "Analysis | None":
        """The analysis without readers who fail a rule, as was declared; None if none does, or not half remain."""
        if not self.failing or len(self.failing) > len(self.readers) / 2:
            return None
        return dataclasses.replace(self, answers=self.answers[~self.answers.reader.isin(list(self.failing))])

    @cached_property
    def leaning(self) -> list[str]:
        """Readers who gave one answer nearly always: their odds of a right answer say nothing."""
        share = self.flags.set_index("reader")["share of the most frequent answer"]
        return sorted(share.index[share >= self.rules["one_answer"]])

    @cached_property
    def always(self) -> tuple[str, float]:
        """The answer that is right most often if given always, and its accuracy: the least to hold others against."""
        share = self.main.drop_duplicates("case").truth.value_counts(normalize=True)
        return str(share.index[0]), float(share.iloc[0])

    @cached_property
    def stimuli(self) -> pd.DataFrame:
        """One row an image of the main part: how many answered, and what they said of it on average.

        In pairs an image is the synthetic one. Times that were interrupted are left out.
        """
        timed = self.main.rt_ms.where(~self.main.interrupted.astype(bool)) / 1000
        told = self.main.assign(right=self.main.correct.astype(float), seconds=timed,
                                quality=self.main.quality.astype(float))
        columns = {"right": "share of right answers", "rating": "mean rating", "quality": "mean quality",
                   "seconds": "median time (s)"}
        found = told.groupby(["case", "method"]).agg(
            answers=("reader", "size"), **{name: (name, "median" if name == "seconds" else "mean") for name in columns})
        return found.rename(columns=columns).dropna(axis=1, how="all").reset_index().sort_values(["method", "case"])

    # Several readers

    @cached_property
    def complete(self) -> tuple[list[str], list[str]]:
        """Readers and cases of the comparison of methods: readers with at least half, then cases that all have."""
        table = self.main.pivot_table(index="case", columns="reader", values="position", aggfunc="first")
        readers = table.columns[table.notna().mean() >= 0.5]
        return list(readers), list(table.index[table[readers].notna().all(axis=1)])

    @cached_property
    def comparison(self) -> mrmc.Comparison | None:
        """Methods over readers by Obuchowski, Rockette and Hillis; None with fewer than 5 images of a kind."""
        return self.compared(self.main.correct.astype(float) if self.protocol.pair else self.main.rating)

    @cached_property
    def judged(self) -> mrmc.Comparison | None:
        """The comparison of what the margin of equivalence is of: balanced accuracy where readers had to choose."""
        return self.compared((self.main.choice == SYNTHETIC).astype(float)) if self.rated else self.comparison

    def compared(self, merit: pd.Series) -> mrmc.Comparison | None:
        """Methods over readers by a merit of each answer of the main part; None with fewer than 5 images of a kind."""
        readers, cases = self.complete
        table = self.main.assign(merit=merit)
        table = table[table.case.isin(cases) & table.reader.isin(readers)]
        wide = table.pivot(index=["method", "case"], columns="reader", values="merit")
        parts = {name: wide.loc[name].to_numpy().T for name in wide.index.unique("method")}
        needed = self.methods if self.protocol.pair else [REAL, *self.methods]
        if not readers or any(name not in parts or parts[name].shape[1] < 5 for name in needed):
            return None
        synthetic = [parts[name] for name in self.methods]
        if self.protocol.pair:
            return mrmc.compare(*mrmc.proportions(synthetic))
        real = np.broadcast_to(parts[REAL], (len(synthetic), *parts[REAL].shape))
        return mrmc.compare(*mrmc.areas(real, synthetic))

    @cached_property
    def by_method(self) -> pd.DataFrame:
        """One row a method: value with interval over readers, p of equivalence within the margin, and what follows.

        The margin is of accuracy, so where the value is an area of confidences, the balanced accuracy stands beside it
        and is what is tested. There is no test of equivalence if the rules withhold it: to careless readers any images
        are alike.
        """
        columns = ["method", "value", "low", "high", "readers", "balanced accuracy", "equivalence p", "what follows"]
        if self.comparison is None:
            return pd.DataFrame(columns=columns)
        rows = []
        for i, method in enumerate(self.methods):
            # random readers, if there are at least two
            row, held = (found.single[found.single.method == i].iloc[0] for found in (self.comparison, self.judged))
            p = np.nan if self.withheld else mrmc.equivalence(held.value, held.error, held.df, self.margin)
            follows = verdict(row.low, row.high, p, self.margin, bool(self.protocol.buttons), self.withheld)
            rows.append((method, row.value, row.low, row.high,
                         "like these" if "random readers" in row.analysis else "this one", held.value, p, follows))
        return pd.DataFrame(rows, columns=columns).drop(columns=[] if self.rated else "balanced accuracy")

    @cached_property
    def equivalence(self) -> pd.DataFrame:
        """One row a reader: right answers, p against chance, p of equivalence, and what follows."""
        rows = []
        balanced = self.protocol.pair or abs(self.always[1] - 0.5) < 1e-9
        if self.protocol.buttons and balanced:
            for reader in self.readers:
                own = self.main[self.main.reader == reader]
                k, n = int(own.correct.sum()), len(own)
                held = rules.withheld(self.answers, self.protocol, self.rules, [reader])
                found, p = proportion(k, n), np.nan if held else st.equivalence(k, n, self.margin)
                rows.append((reader, f"{k} of {n}", st.against_chance(k, n), p,
                             verdict(found.low, found.high, p, self.margin, withheld=held)))
        return pd.DataFrame(rows, columns=["reader", "right", "p against chance", "equivalence p", "what follows"])

    # Agreement

    @cached_property
    def between(self) -> pd.DataFrame:
        """Agreement between readers on images that all of them read once: what, measure, value, low, high, n."""
        readers, cases = self.complete
        table = self.main[self.main.case.isin(cases) & self.main.reader.isin(readers)]
        rows = []

        def add(what: str, *scores: Score) -> None:
            rows.extend(score.as_dict() | {"what": what} for score in scores)

        if len(readers) > 1 and len(cases) > 2:
            if self.protocol.buttons:
                # Sides of a pair are each reader's own, so what is compared there is whether the real image was found.
                wide = table.pivot(index="case", columns="reader", values="correct" if self.protocol.pair else "choice")
                wide = wide.astype(str)
                codes = np.unique(wide, return_inverse=True)[1].reshape(wide.shape)
                pairs = [(a, b) for a in range(len(readers)) for b in range(a + 1, len(readers))]
                kappas = [agreement.cohen(codes[:, a], codes[:, b]).value for a, b in pairs]
                known = [value for value in kappas if np.isfinite(value)]
                add("answer", Score("Fleiss' kappa", agreement.fleiss(codes), n=len(codes)),
                    Score("mean of Cohen's kappas", float(np.mean(known)) if known else np.nan, n=len(codes)),
                    Score("Krippendorff's alpha", agreement.krippendorff(codes), n=len(codes)), agreement.gwet(codes))
            for what in ["rating"] * self.rated + ["quality"] * bool(self.protocol.quality):
                wide = table.pivot(index="case", columns="reader", values=what).to_numpy(float)
                name = "confidence" if what == "rating" else what
                add(name, Score("Krippendorff's alpha (ordinal)", agreement.krippendorff(wide, "ordinal"), n=len(wide)),
                    *agreement.icc(wide))
        return tidy(rows, "what", "measure", *NUMBERS)

    @cached_property
    def within(self) -> pd.DataFrame:
        """Agreement of each reader with themselves on repeated images: reader, what, measure, value, low, high, n."""
        rows = []
        again = self.answers[self.answers.phase == "repeat"]
        for reader in self.readers:
            pair = self.main[self.main.reader == reader].merge(again[again.reader == reader], on="case")
            if len(pair) < 5:
                continue
            found = []
            if self.protocol.buttons:
                answers = [pair[name].to_numpy(str) for name in ("choice_x", "choice_y")]
                found = [("answer", agreement.same(*answers)), ("answer", agreement.cohen(*answers))]
            if self.protocol.quality:
                quality = pair.quality_x.to_numpy(int), pair.quality_y.to_numpy(int)
                found.append(("quality", agreement.cohen(*quality, ordered=True)))
            rows += [score.as_dict() | {"reader": reader, "what": what} for what, score in found]
        return tidy(rows, "reader", "what", "measure", *NUMBERS)

    # Time

    @cached_property
    def blocks(self) -> pd.DataFrame:
        """Share of right answers by block: reader, block, value, low, high, n."""
        rows = []
        for (reader, block), own in self.main.dropna(subset="correct").groupby(["reader", "block"]):
            right = proportion(int(own.correct.sum()), len(own))
            rows.append(right.as_dict() | {"reader": reader, "block": int(block)})
        return tidy(rows, "reader", "block", *NUMBERS)

    @cached_property
    def learning(self) -> Score:
        """Odds of a right answer at the last trial over those at the first: above 1 is learning, below 1 fatigue.

        Logistic regression by generalised estimating equations: position, readers as fixed effects, answers to one
        image correlated.
        """
        from statsmodels.genmod.cov_struct import Exchangeable
        from statsmodels.genmod.families import Binomial
        from statsmodels.genmod.generalized_estimating_equations import GEE

        table = self.main.dropna(subset="correct")
        counts = table.groupby("reader").correct.agg(["sum", "size"])
        fit = set(counts.index[(counts["sum"] > 0) & (counts["sum"] < counts["size"])])   # others have no finite odds
        table = table[table.reader.isin(fit - set(self.leaning))].sort_values("case")
        if len(table) < 30 or table.position.nunique() < 10:
            return Score("odds of a right answer", np.nan, n=len(table), note="too few answers")
        time = (table.position - table.position.min()) / (table.position.max() - table.position.min())
        design = np.column_stack([time, pd.get_dummies(table.reader).to_numpy(float)])
        found = GEE(table.correct.astype(float).to_numpy(), design, groups=table.case.to_numpy(), family=Binomial(),
                    cov_struct=Exchangeable()).fit()
        low, high = found.conf_int()[0]
        return Score("odds of a right answer", float(np.exp(found.params[0])), float(np.exp(low)), float(np.exp(high)),
                     len(table), "GEE, exchangeable within images, readers fixed")

    @cached_property
    def times(self) -> pd.DataFrame:
        """Response times in seconds: reader, answer (right, wrong), median, quartiles, n; none that was interrupted."""
        rows = []
        timed = self.main.dropna(subset=["rt_ms"])
        timed = timed[~timed.interrupted.astype(bool)]
        for reader, own in timed.groupby("reader"):
            for name, part in ((("right", own[own.correct.fillna(False)]), ("wrong", own[~own.correct.fillna(True)]))
                               if self.protocol.buttons else (("all", own),)):
                if len(part):
                    rows.append((reader, name, *np.percentile(part.rt_ms / 1000, [50, 25, 75]).round(2), len(part)))
        return pd.DataFrame(rows, columns=["reader", "answer", "median (s)", "lower quartile", "upper quartile", "n"])


def tidy(rows: list[dict], *columns: str) -> pd.DataFrame:
    """These columns of scores with what tells them apart; `measure` is a score's name."""
    return table(rows).rename(columns={"name": "measure"}).reindex(columns=list(columns))


def verdict(low: float, high: float, p: float, margin: float, told: bool = True, withheld: str = "") -> str:
    """What an interval of accuracy or area and an equivalence test allow to say, and no more.

    told: readers were asked to tell images apart; else they rated quality, and 0.5 is no difference from real images.
    withheld: why the rules allow no conclusion of equivalence.
    """
    if withheld and low <= 0.5 <= high:
        return f"open: a verdict on equivalence is withheld, for {withheld}"
    if not told:
        if p < 0.05:
            return f"rated like real images, within an area of {margin:g}"
        return ("rated below real images" if low > 0.5 else "rated above real images" if high < 0.5 else
                "open: neither a difference from real images is shown, nor that there is little")
    if p < 0.05 and not low <= 0.5 <= high:
        return f"differs from chance, but lies within {margin:g} of it"
    if p < 0.05:
        return f"shown to lie within {margin:g} of chance"
    if low > 0.5:
        return "told apart better than by chance"
    if high < 0.5:
        return "below chance: told apart, but called the wrong way round"
    return f"open: neither a difference from chance is shown, nor that it lies within {margin:g} of chance"
