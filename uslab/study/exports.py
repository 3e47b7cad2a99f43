"""Answers for other programs: tidy CSV with its codebook, and iMRMC's format, which MRMCaov and RJafroc read too."""

import pandas as pd

from uslab.study.protocol import REAL

KINDS = ("csv", "imrmc", "codebook")


def tidy(table: pd.DataFrame) -> str:
    """Every answer with its truth, one row each, as CSV text; file names and patients are left out."""
    return table.drop(columns=["file", "group"]).to_csv(index=False)


def imrmc(table: pd.DataFrame, protocol, methods: list[str]) -> str:
    """Main answers as readerID,caseID,modalityID,score (FDA's iMRMC); higher scores mean 'synthetic', which is truth 1.

    The real images are cases of every modality, for each method is read against the same ones. Raises ValueError for
    pairs, which have no score a case.
    """
    if protocol.pair:
        raise ValueError("pairs have no score for each image: iMRMC's format cannot hold them; export csv")
    main = table[table.phase == "main"].sort_values(["reader", "position"])
    cases = main.drop_duplicates("case")
    lines = ["uslab reader study. Truth 1: synthetic. Higher scores: more surely synthetic.",
             f"N0: {(cases.method == REAL).sum()}", f"N1: {(cases.method != REAL).sum()}",
             f"NR: {main.reader.nunique()}", f"NM: {len(methods)}", "", "BEGIN DATA:"]
    lines += [f"-1,{row.case},0,{int(row.method != REAL)}" for row in cases.itertuples()]
    for row in main.itertuples():
        lines += [f"{row.reader},{row.case},{method.replace(',', ';')},{row.rating:g}" for method in methods
                  if row.method in (REAL, method)]      # the format has no quotes for a comma in a name
    return "\n".join(lines) + "\n"
