"""Every table that people write by hand is opened here: encoding, delimiter, stray blanks, rows cut short."""

import csv
import unicodedata
from pathlib import Path

import pandas as pd

ASIDE = "set_aside.txt"


def lines_of(path: Path, advice: str) -> list[str]:
    """The lines of a text in UTF-8, with or without a byte order mark, in Unicode's composed form (NFC).

    Raises ValueError, naming the file, for another encoding, and FileNotFoundError if it is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {advice}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as a table (byte {error.start + 1} is not UTF-8): save it as CSV in "
                         f"UTF-8; {advice}") from None
    if "\0" in text:
        raise ValueError(f"{path} cannot be read as a table (it holds zero bytes): save it as CSV in UTF-8; {advice}")
    return unicodedata.normalize("NFC", text).splitlines()


def read_table(path: Path, advice: str) -> pd.DataFrame:
    """A CSV with a header as text without blanks around it; empty cells are '', empty rows are left out.

    The delimiter is whichever of comma, semicolon and tab the header has. Raises ValueError, naming file and line, for
    a row with more cells than the header or fewer, for columns of one name, and for a table without rows.
    """
    lines = lines_of(path, advice)
    header = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows, columns = [], []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            columns = columns or cells
            if len(cells) > len(columns) and not any(cells[len(columns):]):     # delimiters at the end of a row
                cells = cells[:len(columns)]
            if len(cells) != len(columns):
                raise ValueError(f"{len(cells)} cells, but the header has {len(columns)}")
            rows.append(cells)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path}, line {reader.line_num}, cannot be read as a table ({error}): correct it; {advice}"
                         ) from None
    if len(set(columns)) < len(columns) or len(rows) < 2:
        raise ValueError(f"{path} has the columns {columns} and {max(0, len(rows) - 1)} rows, expected columns of "
                         f"different names and rows below them: {advice}")
    return pd.DataFrame(rows[1:], columns=columns, dtype=str)


def aside(root: Path) -> frozenset[str]:
    """The members of a set that are not to be read: those that set_aside.txt in its folder names, one a line.

    A member is called as messages and tables call it: an image by its `file`, a CT by its case.
    """
    path = root / ASIDE
    return frozenset(line.strip() for line in lines_of(path, "") if line.strip()) if path.is_file() else frozenset()
