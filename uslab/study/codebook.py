"""The codebook: what each column of the answers and of the readers means, as a data dictionary that REDCap imports."""

import pandas as pd

from uslab.study.protocol import ATTENTION, LEFT, REAL, RIGHT, SYNTHETIC

# The columns of a REDCap data dictionary, in its order.
DICTIONARY = ["Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
              "Choices, Calculations, OR Slider Labels", "Field Note", "Text Validation Type OR Show Slider Number",
              "Text Validation Min", "Text Validation Max", "Identifier?", "Branching Logic (Show field only if...)",
              "Required Field?", "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name",
              "Matrix Ranking?", "Field Annotation"]
YES_NO = ("True", "False")

# Column: what it is, its note, its kind ('text', 'integer' or 'number') or its choices.
ANSWERS = {
    "reader": ("Reader", "an opaque name; who it is stands in no table", "text"),
    "simulated": ("Simulated reader", "a program, for a rehearsal", YES_NO),
    "trial": ("Trial", "of this reader's plan", "text"),
    "position": ("Position", "of the image in its part of this reader's order, from 1", "integer"),
    "phase": ("Part of the study", "", ("practice", "main", "repeat", ATTENTION)),
    "block": ("Block", "from 1; 0 is the practice", "integer"),
    "case": ("Image", "its opaque name; in pairs the synthetic one's", "text"),
    "method": ("Where the image is from", f"'{REAL}', or the method's name", "text"),
    "truth": ("Truth", "in pairs the side of the real image", (REAL, SYNTHETIC, LEFT, RIGHT, ATTENTION)),
    "choice": ("Answer", "the one that counts", (REAL, SYNTHETIC, LEFT, RIGHT)),
    "confidence": ("Confidence", "1 a guess, 3 sure", "integer"),
    "quality": ("Quality", "from 1; the words of the scale stand in the protocol", "integer"),
    "comment": ("Comment", "the reader's own words, beside the answer that counts", "text"),
    "mark_case": ("Image that was marked", "its opaque name, where the reader marked a point", "text"),
    "mark_side": ("Side of the mark", "in pairs", (LEFT, RIGHT)),
    "mark_x": ("Mark, across", "pixels from the image's left edge; 0.5 is the middle of the first", "number"),
    "mark_y": ("Mark, down", "pixels from the image's upper edge", "number"),
    "mark_frame": ("Frame of the mark", "of a clip, from 0: the one that was shown when it was set", "integer"),
    "rating": ("Rating", "-3 surely real to 3 surely synthetic; without buttons, the quality with a minus", "number"),
    "correct": ("The answer is right", "empty where there is no right one", YES_NO),
    "rt_ms": ("Response time", "ms, from the image's first frame to the press, of the first answer", "number"),
    "interrupted": ("The time is not of one look", "a reload, a pause or another window came between this image and "
                    "the answer before it, so the image may have been seen before its time began", YES_NO),
    "by": ("Answered with", "of the first question", ("key", "mouse", "touch", "pen")),
    "zoom": ("Zoom when the answer was given", "times the first size", "number"),
    "scale": ("Screen pixels along a pixel of the image", "before zooming; below 1 it was made smaller", "number"),
    "window": ("Window when the answer was given", "grey levels from black to white; 256: as the image is; empty: it "
               "could not be changed", "integer"),
    "level": ("Level when the answer was given", "grey level in the middle of the window; 128: as the image is",
              "integer"),
    "exposure_ms": ("Exposure achieved", "ms; empty where an image is shown until the answer", "number"),
    "fps": ("Frames a second", "of clips; 0: still images", "integer"),
    "frames": ("Frames of a clip", "1: still images", "integer"),
    "frames_shown": ("Frames that were shown before the answer", "of clips, each as often as it was", "integer"),
    "holds": ("Times that the clip was stopped", "by the space bar, a step or a button", "integer"),
    "blurs": ("Times that the page lost the focus", "while the image was shown", "integer"),
    "early": ("Presses before an answer counted", "such as the second of a double click", "integer"),
    "corrected": ("The answer was given anew", "", YES_NO),
    "first_choice": ("First answer", "the same where it was not given anew", (REAL, SYNTHETIC, LEFT, RIGHT)),
    "first_confidence": ("First confidence", "", "integer"),
    "first_quality": ("First quality", "", "integer"),
    "at": ("Time of the answer", "seconds since 1970, UTC", "number"),
}
READERS = {
    "reader": ANSWERS["reader"],
    "screen": ("Screen", "pixels of CSS, width x height", "text"),
    "viewport": ("Window of the page at the start", "pixels of CSS, width x height", "text"),
    "pixel_ratio": ("Screen pixels along a pixel of CSS", "", "number"),
    "frame_ms": ("Time of a frame of the screen", "ms, the median of 30", "number"),
    "touch": ("Points of touch", "0: no touch screen", "integer"),
    "sessions": ("Times that the page was opened", "", "integer"),
    "pauses": ("Pauses that the reader took", "", "integer"),
}
TAKEN = {*ANSWERS, *READERS}    # a question of the form that is called so stands in the tables as said_...


def codebook(protocol) -> pd.DataFrame:
    """One row a column of the answers, of the readers' screens, and of the form: REDCap's data dictionary."""
    asked = {name: (label, "what the reader said of themselves", options or "text")
             for name, (label, options) in protocol.form.items()}
    said = {f"said_{name}" if name in TAKEN else name: entry for name, entry in asked.items()}
    rows = [row("answers", *entry) for entry in ANSWERS.items()]
    rows += [row("readers", name, entry) for name, entry in (READERS | said).items() if name != "reader"]
    return pd.DataFrame(rows).reindex(columns=DICTIONARY, fill_value="")


def row(form: str, name: str, entry: tuple) -> dict:
    label, note, kind = entry
    listed = not isinstance(kind, str)
    return {"Variable / Field Name": name, "Form Name": form, "Field Type": "radio" if listed else "text",
            "Field Label": label, "Field Note": note,
            "Choices, Calculations, OR Slider Labels": " | ".join(f"{value}, {value}" for value in kind) * listed,
            "Text Validation Type OR Show Slider Number": "" if listed or kind == "text" else kind}
