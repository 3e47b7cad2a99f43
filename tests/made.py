"""Hand-made images and files for the tests, noise and ultrasound-like ones: no image of a patient."""

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image

from uslab.data import ImageSet


def noise(n: int, size: int = 16, seed: int = 0, low: int = 0, high: int = 256) -> np.ndarray:
    """Images of independent grey levels from low up to high - 1, uint8 (n, 1, size, size)."""
    return np.random.default_rng(seed).integers(low, high, (n, 1, size, size), dtype=np.uint8)


def pictures(n: int, seed: int, size: int = 16) -> np.ndarray:
    """Noise without black or white, in which a study finds no text, uint8 (n, 1, size, size)."""
    return noise(n, size, seed, low=20, high=110)


def noise_set(n: int, height: int = 64, width: int | None = None, seed: int = 0) -> ImageSet:
    """A set of n noise images; the first pixel of each is its number."""
    images = noise(n, max(height, width or 0), seed)[..., :height, :width or height].copy()
    images[:, 0, 0, 0] = range(n)
    return ImageSet(torch.from_numpy(images), "noise", "phantom", pd.DataFrame({"file": [f"{i}" for i in range(n)]}))


def scan(
    seed: int,             # the anatomy and the speckle
    height: int = 120,
    width: int = 160,
    speckle: int = 0,      # another number: the same anatomy under other speckle, as in another frame
) -> np.ndarray:
    """A speckled picture without black parts, (height, width) uint8."""
    rng = np.random.default_rng(seed)
    anatomy = cv2.resize(rng.random((5, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng([seed, speckle]).standard_normal((2, height, width))
    envelope = np.hypot(*[cv2.GaussianBlur(part, (0, 0), sigmaX=1.6, sigmaY=0.9) for part in noise])
    return (20 + 100 * anatomy.clip(0.1, 1) * (0.5 + 0.5 * envelope / envelope.mean())).clip(12, 235).astype(np.uint8)


def save(path, image: np.ndarray):
    """Write an image, with the folders above it; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def dicom(path, pixels, **changes):
    """An ultrasound DICOM file of (H, W) or (H, W, 3) pixels; changes are elements by their keywords."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid

    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.SOPClassUID = UltrasoundImageStorage, UltrasoundImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    data.PixelRepresentation = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = data.BitsAllocated
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    for name, value in changes.items():
        setattr(data, name, value)
    data.HighBit = data.BitsStored - 1
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def disc(height: int = 120, width: int = 160, centre=(80, 60), radius: int = 20) -> np.ndarray:
    """A white disc on black, (height, width) uint8."""
    return cv2.circle(np.zeros((height, width), np.uint8), centre, radius, 255, -1)


def busi(root):
    """BUSI's layout: 3 benign images, the last with two masks, 2 malignant and 1 normal one."""
    base = root / "Dataset_BUSI_with_GT"
    for i, (name, n) in enumerate((("benign", 3), ("malignant", 2), ("normal", 1))):
        for number in range(1, n + 1):
            save(base / name / f"{name} ({number}).png", scan(10 * i + number))
            save(base / name / f"{name} ({number})_mask.png", disc() if name != "normal" else 0 * disc())
    save(base / "benign" / "benign (3)_mask_1.png", disc(centre=(130, 60), radius=10))
    return root


def mmotu(root):
    """MMOTU's layout: 1 and 4 to train, 2 to validate; 4 is a normal ovary with two dark follicles."""
    from uslab.data.mmotu import PALETTE

    base = root / "OTU_2d"
    for number, label in ((1, 2), (2, 7), (4, 5)):
        image = scan(number)
        if label == 5:
            image = cv2.circle(cv2.circle(image, (75, 55), 5, 12, -1), (90, 65), 6, 12, -1)
        save(base / "images" / f"{number}.JPG", image)
        mask = Image.fromarray((disc() > 0).astype(np.uint8))
        mask.putpalette([0, 0, 0, *PALETTE[label]])
        (base / "annotations").mkdir(exist_ok=True)
        mask.save(base / "annotations" / f"{number}.PNG")
    for split, lines in (("train", ("1.JPG  2", "4.JPG  5")), ("val", ("2.JPG  7",))):
        (base / f"{split}_cls.txt").write_text("\n".join(lines) + "\n")
    return root


def nafld(root, records=((1, 0, 2.0, 2), (2, 1, 30.0, 1), (7, 1, np.nan, 3)), **changes):
    """The structure of the NAFLD file: a fan, an ECG trace and a grey bar; records are (id, class, fat, frames)."""
    from scipy.io import savemat

    y, x = np.mgrid[:217, :318]
    fan = (np.hypot(y, x - 150) < 180) & (np.abs(np.arctan2(x - 150, y + 1)) < 0.8)
    data = np.zeros((1, len(records)), dtype=[(name, "O") for name in ("id", "class", "fat", "images")])
    for i, (number, label, fat, frames) in enumerate(records):
        images = np.stack([np.where(fan, scan(number, 217, 318, frame), 0) for frame in range(frames)])
        images[:, 200:204, 10:60] = 220   # ECG
        images[:, 10:60, 305:312] = 200   # grey bar
        data[0, i] = (np.uint8(number), np.uint8(label), fat, images.astype(np.uint8))
    root.mkdir(parents=True, exist_ok=True)
    savemat(root / "dataset_liver_bmodes_steatosis_assessment_IJCARS.mat", changes or {"data": data},
            do_compression=True)    # as the published file
    return root, fan
