"""GRRAS, the reporting guideline for studies of reliability and agreement, filled in as far as a computer can know.

Kottner et al. 2011, J. Clin. Epidemiol. 64:96: fifteen items.
"""

import pandas as pd

AUTHORS = "Authors: "       # marks what only they can write


def grras(facts: dict) -> pd.DataFrame:
    """The items with what is known: item, what it asks, what the study says. facts: see report.facts."""
    f = facts
    rows = [
        (1, "Title or abstract says that agreement or discrimination was studied", AUTHORS + "write so."),
        (2, "The instrument is described", f"uslab {f['uslab']}; {f['question']} {f['scale']}."),
        (3, "The subjects are specified",
         f"{f['n_real']} real images; synthetic: {f['methods']}. {AUTHORS}patients, acquisition, inclusion."),
        (4, "The readers are specified", f"{f['readers']}. {f['roles']} {AUTHORS}how they were found."),
        (5, "What is known, and why this study", AUTHORS + "write."),
        (6, "Number of subjects, readers and repetitions, and why",
         f"{f['n_images']} images, {f['n_readers']} readers, {f['repeats']} images shown twice. "
         f"{AUTHORS}`uslab study plan` gives the numbers for a power or a margin."),
        (7, "How subjects and readers were sampled",
         f"images at random with seed {f['seed']}, from as many patients as there are. {AUTHORS}the readers."),
        (8, "The process of rating: time between repetitions, information, blinding",
         f"repetitions at least {f['distance']} trials apart in one session; orders of their own, balanced in blocks; "
         f"the key was sealed and its hash published on {f['built']}; {f['blinding']}"),
        (9, "Ratings were independent", "each reader had a link and an order of their own; no reader saw another's "
                                        "answers."),
        (10, "The statistical analysis", "named beside each table; margin of equivalence "
                                             f"{f['margin']}."),
        (11, "Actual numbers of subjects, readers, ratings",
         f"{f['answers']} answers of {f['n_readers']} readers; {f['complete']} complete, {f['withdrawn']} withdrawn."),
        (12, "Characteristics of readers and subjects", f"{f['roles']} {AUTHORS}the patients."),
        (13, "Estimates of agreement and reliability with their uncertainty", "sections Agreement, Each reader, "
                                                                              "Methods."),
        (14, "Practical relevance", AUTHORS + "write; see Limits."),
        (15, "Detailed results are available", "tables/ beside this report, and `uslab study export`."),
    ]
    return pd.DataFrame(rows, columns=["item", "asks for", "answer"])
