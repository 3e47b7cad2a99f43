"""How much a measure changes from one training to the next: the same model with other seeds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats


def over_seeds(
    tables: Mapping[int, pd.DataFrame],   # training seed -> the table of compare(), each with the same real reference
) -> pd.DataFrame:
    """One row a measure (and set): the mean over trainings, its 95 % t interval, and the number of seeds as n.

    This interval holds what the one of a single training cannot: that a network trained anew is another one. With
    fewer than 3 seeds there is none. The columns are those of compare(), so figure() draws it. Raises ValueError if
    the tables have other measures.
    """
    if not tables:
        raise ValueError("there are no tables: give one for each training seed")
    first = next(iter(tables.values()))
    keys = [key for key in ("set", "name") if key in first]
    for seed, table in tables.items():
        if not table[keys].reset_index(drop=True).equals(first[keys].reset_index(drop=True)):
            raise ValueError(f"the table of seed {seed} has other measures or sets than the first one")
    values = np.stack([table["value"].to_numpy(float) for table in tables.values()])
    k, mean = len(values), values.mean(0)
    reach = stats.t.ppf(0.975, k - 1) * values.std(0, ddof=1) / k ** 0.5 if k > 2 else np.full(len(mean), np.nan)
    how = f"mean of {k} training seeds ({', '.join(map(str, tables))}), " + (
        "95 % t interval" if k > 2 else "no interval: fewer than 3")
    notes = [f"{how}; single values {', '.join(f'{value:.4g}' for value in column)}" for column in values.T]
    return pd.DataFrame({**{key: first[key].to_numpy() for key in keys}, "value": mean, "low": mean - reach,
                         "high": mean + reach, "n": k, "note": notes})
