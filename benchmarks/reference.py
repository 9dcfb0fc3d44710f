"""Types that the comparisons of networks with LiteRT and onnxruntime share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


class IncomparableFile(Exception):
    """A network file that cannot be compared with another runtime; the message is the reason."""
