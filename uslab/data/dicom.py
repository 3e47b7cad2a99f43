"""What a DICOM file shows, as a viewer displays it, and what it says: millimetres, regions, whom it is of."""

import importlib.util
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Who was examined, where and when: a set that is passed on holds none of it.
IDENTIFYING = ("PatientName", "PatientID", "OtherPatientIDs", "PatientBirthDate", "PatientAddress", "AccessionNumber",
               "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstitutionName", "OperatorsName",
               "ReferringPhysicianName", "PerformingPhysicianName")
TISSUE, COLOUR_FLOW, CENTIMETRE = 1, 2, 3     # codes of ultrasound regions, PS3.3 section C.8.5.5


@dataclass(frozen=True)
class Facts:
    """What a header says. Of it, patient and called serve to group and to warn, and are written nowhere."""

    frames: int
    box: tuple[slice, slice] | None     # rows and columns of the B-mode region; None where none is given
    pixel_mm: tuple[float, float]       # height and width of a pixel, mm; nan where it is not calibrated
    patient: str                        # PatientID
    called: tuple[str, ...]             # the words of PatientName, in small letters
    notes: tuple[str, ...]              # what a person should know of the file; names of tags, none of their values

    def inside(self, image: np.ndarray) -> np.ndarray:
        """The image (H, W), black outside the region."""
        if self.box is None:
            return image
        kept = np.zeros_like(image)
        kept[self.box] = image[self.box]
        return kept


def is_dicom(path: Path) -> bool:
    """Whether a file is called so or, whatever its name, begins as DICOM does."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


@contextmanager
def opened(path: Path, **values) -> Iterator:
    """The data set; whatever fails while it is used becomes a ValueError that names the file."""
    import pydicom

    # Values that break a rule are of no use here. Files are read in threads, in which no filter can be put back.
    warnings.filterwarnings("ignore", module="pydicom")
    syntax = None
    try:
        data = pydicom.dcmread(path, **values)
        syntax = data.file_meta.get("TransferSyntaxUID")
        yield data
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: get the data set again, or unpack it again") from None
    except Exception as error:      # pydicom and the decoders raise many kinds for damaged files
        if "missing dependencies" in str(error) and not importlib.util.find_spec("gdcm"):
            raise ValueError(f"{path} cannot be read: no decoder of {syntax.name} is installed; one comes with: pip "
                             "install 'uslab[formats]'") from None
        raise ValueError(f"{path} cannot be read as a DICOM image ({' '.join(str(error).split())}): get it again or "
                         "take it out") from None


def pictures(path: Path, every: int = 1) -> Iterator[np.ndarray]:
    """Every so-manieth frame as it is displayed, uint8 (H, W) or RGB (H, W, 3)."""
    from pydicom import pixels

    with opened(path) as data:
        for index in range(0, int(data.get("NumberOfFrames") or 1), every):
            values = pixels.pixel_array(data, index=index)     # YBR is RGB by now
            yield displayed(values, data)


def displayed(values: np.ndarray, data) -> np.ndarray:
    """Stored values of one frame as a viewer shows them: modality LUT, VOI LUT or window, then presentation LUT.

    What is black and what white follows from the header alone, never from the brightest pixel, so that two files of
    one machine keep their difference. Colours stay: RGB (H, W, 3).
    """
    from pydicom import pixels

    kind, bits = data.PhotometricInterpretation, int(data.BitsStored)
    if kind == "PALETTE COLOR":
        values = pixels.apply_color_lut(values, data)
        return shown(values, 0, 2 ** (8 * values.dtype.itemsize) - 1)
    if values.ndim == 3:
        return shown(values, 0, 2 ** bits - 1)
    if not kind.startswith("MONOCHROME"):
        raise ValueError(f"its photometric interpretation, {kind!r}, is not known")
    ends = np.array([0, 2 ** bits - 1], np.int64) - (2 ** (bits - 1) if data.PixelRepresentation else 0)
    if data.get("ModalityLUTSequence"):
        ends = np.array([0, 2 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1])
    elif data.get("RescaleSlope") is not None and data.get("RescaleIntercept") is not None:
        ends = ends * float(data.RescaleSlope) + float(data.RescaleIntercept)
    values = pixels.apply_voi_lut(pixels.apply_modality_lut(values, data), data)
    if data.get("VOILUTSequence"):
        ends = np.array([0, 2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1])
    elif data.get("WindowCenter") is None:
        ends = np.sort(ends)
    if data.get("PresentationLUTSequence"):
        # pydicom spreads what it gets over the table, from the lowest to the highest value.
        values = pixels.apply_presentation_lut(np.append(values, ends), data)[:-2].reshape(values.shape)
        ends = np.array([0, 2 ** int(data.PresentationLUTSequence[0].LUTDescriptor[2]) - 1])
    elif kind == "MONOCHROME1" or data.get("PresentationLUTShape") == "INVERSE":
        ends = ends[::-1]
    return shown(values, *ends)


def shown(
    values: np.ndarray,   # any numbers
    black: float,         # the value that is shown black; it may be the larger one
    white: float,
) -> np.ndarray:
    """Grey levels, uint8, linear from black to white."""
    return np.rint(255 * ((values.astype(np.float64) - black) / (float(white) - float(black))).clip(0, 1)
                   ).astype(np.uint8)


def facts(path: Path) -> Facts:
    """What the header says. Raises ValueError, naming the file, if it is damaged."""
    with opened(path, stop_before_pixels=True) as data:
        regions = data.get("SequenceOfUltrasoundRegions") or ()
        box, pixel_mm, notes = None, (math.nan, math.nan), []
        flat = [(region, place(region)) for region in regions
                if region.get("RegionSpatialFormat") == 1 and region.get("RegionDataType") == TISSUE]
        if flat:
            region, box = max(flat, key=lambda pair: math.prod(side.stop - side.start for side in pair[1]))
            if box[0].stop > data.Rows + 1 or box[1].stop > data.Columns + 1:
                box = None
                notes.append("its region does not lie in the image, which was resized: not calibrated")
            elif region.get("PhysicalUnitsXDirection") == region.get("PhysicalUnitsYDirection") == CENTIMETRE:
                pixel_mm = tuple(10 * abs(float(region.get(f"PhysicalDelta{axis}"))) for axis in "YX")
        elif data.get("PixelSpacing"):
            pixel_mm = tuple(float(value) for value in data.PixelSpacing)
        if any(region.get("RegionDataType") == COLOUR_FLOW for region in regions):
            notes.append("its header names a region of colour flow")
        if str(data.get("BurnedInAnnotation", "")).upper() == "YES":
            notes.append("its header says that text of the patient is burnt into the pixels")
        if filled := [name for name in IDENTIFYING if str(data.get(name) or "").strip(" ^")]:
            notes.append(f"its header tells {', '.join(filled)}, of which nothing is copied")
        called = tuple(re.findall(r"\w{3,}", str(data.get("PatientName") or "").casefold()))
        return Facts(int(data.get("NumberOfFrames") or 1), box, pixel_mm, str(data.get("PatientID") or "").strip(),
                     called, tuple(notes))


def place(region) -> tuple[slice, slice]:
    """Rows and columns of an ultrasound region."""
    return (slice(int(region.RegionLocationMinY0), int(region.RegionLocationMaxY1) + 1),
            slice(int(region.RegionLocationMinX0), int(region.RegionLocationMaxX1) + 1))
