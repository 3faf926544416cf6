"""The element types that NumPy lacks, as classes of its scalars."""

import numpy as np

class bfloat16(np.generic): ...
