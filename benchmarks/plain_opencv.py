"""A plain OpenCV loop from images to arrays, as one would write it without the project."""

import sys
from pathlib import Path

import cv2
import numpy as np


def main() -> None:
    """Read FOLDER/0 and FOLDER/1, resize to SIDE×SIDE and write x.npy and y.npy to OUT."""
    folder, out, side = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    out.mkdir(parents=True)
    images, labels = [], []
    for label in (0, 1):
        for file in sorted((folder / str(label)).iterdir()):
            image = cv2.imread(str(file))
            if image is None:
                raise ValueError(f"{file}: not read")
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            images.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
            labels.append(label)
    np.save(out / "x.npy", np.stack(images))
    np.save(out / "y.npy", np.array(labels, np.int32))


if __name__ == "__main__":
    main()
