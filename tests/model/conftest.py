"""Models of the tests compute in one thread, so that equal steps give equal bits on a busy machine too."""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
