"""Where each data set comes from: files with their checksums, or what to ask for where. The cards say the rest."""

from dataclasses import dataclass

ZENODO = "https://zenodo.org/records"
ZENODO_API = "https://zenodo.org/api/records"


@dataclass(frozen=True)
class File:
    """One file of a download."""

    name: str              # as it is saved, below the set's folder
    url: str
    digest: str = ""       # 'md5:...' or 'sha256:...' as published; empty where it is read from the record
    creates: str = ""      # what unpacking it leaves; empty: not an archive
    record: str = ""       # address of Zenodo's JSON record of the file, which states its checksum


@dataclass(frozen=True)
class Source:
    """How to get one data set."""

    title: str
    licence: str
    size: str                           # of the download, for a person; empty where it is not known here
    files: tuple[File, ...] = ()        # empty: nobody may fetch it for you, see ask
    ask: str = ""                       # what to request where, and where to put it


SOURCES = {
    "hc18": Source(
        "fetal heads, HC18", "CC BY 4.0", "",
        (File("training_set.zip", f"{ZENODO}/1327317/files/training_set.zip", "md5:00eb8198b9a505b2b3a6dfc740382497",
              "training_set"),
         File("training_set_pixel_size_and_HC.csv",
              f"{ZENODO}/1327317/files/training_set_pixel_size_and_HC.csv", record=f"{ZENODO_API}/1327317"))),
    "busi": Source(
        "breast, BUSI", "cite the authors; no licence stated", "",
        (File("Dataset_BUSI.zip", "https://scholar.cu.edu.eg/Dataset_BUSI.zip",
              "sha256:b2ce09f6063a31a73f628b6a6ee1245187cbaec225e93e563735691d68654de7", "Dataset_BUSI_with_GT"),)),
    "nafld": Source(
        "liver and kidney with biopsy fat, Byra 2018", "CC BY 4.0", "52 MB",
        (File("dataset_liver_bmodes_steatosis_assessment_IJCARS.mat",
              f"{ZENODO}/1009146/files/dataset_liver_bmodes_steatosis_assessment_IJCARS.mat",
              record=f"{ZENODO_API}/1009146"),)),
    "ct": Source(
        "abdominal CT with organ masks, TotalSegmentator small", "CC BY 4.0", "3.2 GB",
        (File("Totalsegmentator_dataset_small_v201.zip",
              f"{ZENODO}/10047263/files/Totalsegmentator_dataset_small_v201.zip",
              "md5:6b5524af4b15e6ba06ef2d700c0c73e0", "Totalsegmentator_dataset_small_v201"),),
        "The paper's own CT, BTCV, needs a registration: Synapse, syn3193805, RawData.zip; unpack img/ and label/."),
    "mmotu": Source(
        "ovaries and ovarian tumours, MMOTU 2-D", "CC BY 4.0 as re-users report; the authors state none", "",
        ask="Download OTU_2d.zip by hand from the Google Drive folder that the README of the authors' repository "
            "names (github.com/cv516Buaa/MMOTU_DS2Net): "
            "https://drive.google.com/drive/folders/1c5n0fVKrM9-SZE1kacTXPt1pt844iAs1, and unpack it into "
            "{root}, so that {root}/OTU_2d/images, annotations and train_cls.txt exist. The edition on figshare, "
            "doi:10.6084/m9.figshare.25058690, has fewer images, other folders and no class lists: it is not read."),
    "eus": Source(
        "endoscopic ultrasound, LEPset", "research only, not commercial, as re-users report", "",
        ask="Re-users name Zenodo record 8041285 (https://doi.org/10.5281/zenodo.8041285) for LEPset: read its terms, "
            "download it by hand, and unpack labeled/ and unlabeled/ into {root}. The paper's own frames (University "
            "College Hospital London) were never published. Frames of your own work too: one folder a patient in {root}."),
    "folder": Source(
        "your own images", "yours", "",
        ask="Nothing to download: put your images, and a labels.csv if you have labels, into {root}."),
}
