"""The 2-D sets of MedMNIST, from `medmnist/info.py` of MedMNIST 3.0.2."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Set:
    """A set with one class per image.

    Attributes:
        name: in its authors' spelling.
        classes: meanings of the labels in the .npz, in their order.
        source: reference of the images.
        checksums: MD5 of the .npz by pixels per side.
        is_swapped: whether the two labels are swapped here, so that 1 is the disease.
        license: a Creative Commons license.
    """

    name: str
    classes: tuple[str, ...]
    source: str
    checksums: dict[int, str]
    is_swapped: bool = False
    license: str = "CC BY 4.0"


KERMANY = (
    "Images: Kermany, D. S., et al. (2018). Identifying medical diagnoses and treatable diseases by "
    "image-based deep learning. Cell 172(5):1122-1131."
)
LITS = (
    "Images: Bilic, P., et al. (2023). The liver tumor segmentation benchmark (LiTS). Medical Image "
    "Analysis 84:102680. Organs: Xu, X., et al. (2019). Efficient multiple organ localization in CT "
    "image using 3D region proposal network. IEEE Transactions on Medical Imaging 38(8):1885-1898."
)
ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)

SETS = {
    "breastmnist": Set(
        "BreastMNIST",
        ("malignant", "normal, benign"),
        "Images: Al-Dhabyani, W., Gomaa, M., Khaled, H., & Fahmy, A. (2020). Dataset of breast "
        "ultrasound images. Data in Brief 28:104863.",
        {
            28: "750601b1f35ba3300ea97c75c52ff8f6",
            64: "742edef2a1fd1524b2efff4bd7ba9364",
            128: "363e4b3f8d712e9b5de15470a2aaadf1",
            224: "b56378a6eefa9fed602bb16d192d4c8b",
        },
        is_swapped=True,
    ),
    "pneumoniamnist": Set(
        "PneumoniaMNIST",
        ("normal", "pneumonia"),
        KERMANY,
        {
            28: "28209eda62fecd6e6a2d98b1501bb15f",
            64: "8f4eceb4ccffa70c672198ea285246c6",
            128: "05b46931834c231683c68f40c47b2971",
            224: "d6a3c71de1b945ea11211b03746c1fe1",
        },
    ),
    "pathmnist": Set(
        "PathMNIST",
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
        "Images: Kather, J. N., et al. (2019). Predicting survival from colorectal cancer histology "
        "slides using deep learning: A retrospective multicenter study. PLOS Medicine 16(1):e1002730.",
        {
            28: "a8b06965200029087d5bd730944a56c1",
            64: "55aa9c1e0525abe5a6b9d8343a507616",
            128: "ac42d08fb904d92c244187169d1fd1d9",
            224: "2c51a510bcdc9cf8ddb2af93af1eadec",
        },
    ),
    "dermamnist": Set(
        "DermaMNIST",
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        "Images: Tschandl, P., Rosendahl, C., & Kittler, H. (2018). The HAM10000 dataset, a large "
        "collection of multi-source dermatoscopic images of common pigmented skin lesions. Scientific "
        "Data 5:180161.",
        {
            28: "0744692d530f8e62ec473284d019b0c7",
            64: "b70a2f5635c6199aeaa28c31d7202e1f",
            128: "2defd784463fa5243564e855ed717de1",
            224: "8974907d8e169bef5f5b96bc506ae45d",
        },
        license="CC BY-NC 4.0",
    ),
    "octmnist": Set(
        "OCTMNIST",
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        KERMANY,
        {
            28: "c68d92d5b585d8d81f7112f81e2d0842",
            64: "e229e9440236b774d9f0dfef9d07bdaf",
            128: "0a97e76651ace45c5d943ee3f65b63ae",
            224: "abc493b6d529d5de7569faaef2773ba3",
        },
    ),
    "retinamnist": Set(
        "RetinaMNIST",
        ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
        "Images: Liu, R., et al. (2022). DeepDRiD: Diabetic retinopathy - grading and image quality "
        "estimation challenge. Patterns 3(6):100512.",
        {
            28: "bd4c0672f1bba3e3a89f0e4e876791e4",
            64: "afda852cc34dcda56f86ad2b2457dbcc",
            128: "e48e916a24454daf90583d4e6efb1a18",
            224: "eae7e3b6f3fcbda4ae613ebdcbe35348",
        },
    ),
    "bloodmnist": Set(
        "BloodMNIST",
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        "Images: Acevedo, A., Merino, A., Alférez, S., Molina, Á., Boldú, L., & Rodellar, J. (2020). "
        "A dataset of microscopic peripheral blood cell images for development of automatic "
        "recognition systems. Data in Brief 30:105474.",
        {
            28: "7053d0359d879ad8a5505303e11de1dc",
            64: "2b94928a2ae4916078ca51e05b6b800b",
            128: "adace1e0ed228fccda1f39692059dd4c",
            224: "b718ff6835fcbdb22ba9eacccd7b2601",
        },
    ),
    "tissuemnist": Set(
        "TissueMNIST",
        (
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ),
        "Images: Ljosa, V., Sokolnicki, K. L., & Carpenter, A. E. (2012). Annotated high-throughput "
        "microscopy image sets for validation. Nature Methods 9(7):637.",
        {
            28: "ebe78ee8b05294063de985d821c1c34b",
            64: "123ece2eba09d0aa5d698fda57103344",
            128: "61b955355d7425a89687b06cca3ce0c2",
            224: "b077128c4a949f0a4eb01517f9037b9c",
        },
    ),
    "organamnist": Set(
        "OrganAMNIST",
        ORGANS,
        LITS,
        {
            28: "68e3f8846a6bd62f0c9bf841c0d9eacc",
            64: "2dcccc29b88e6da5a01161ef20cda288",
            128: "eeae80d0a227a8d099027e1b3cfd3b60",
            224: "50747347e05c87dd3aaf92c49f9f3170",
        },
    ),
    "organcmnist": Set(
        "OrganCMNIST",
        ORGANS,
        LITS,
        {
            28: "b9ceb9546e10131b32923c5bbeaea2b1",
            64: "3ce34a8724ea6f548e6db4744d03b6a9",
            128: "773c1f009daa3fe5d9a2a201b2a7ed94",
            224: "050f5e875dc056f6768abf94ec9995d1",
        },
    ),
    "organsmnist": Set(
        "OrganSMNIST",
        ORGANS,
        LITS,
        {
            28: "9ab87b696fb54e2a387ebe992d6ed5f1",
            64: "53a6d115339d874c25e309a994ff46d3",
            128: "ded0c5fa01a95dc4978b956f613e9b8e",
            224: "b354719e553fbbb2513d5533f52a4cb1",
        },
    ),
}
