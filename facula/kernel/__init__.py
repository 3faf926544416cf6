"""Floor 2: the compiler. Scalar bodies, loop nests, vector math, tile kernels, and LLVM for a given target. Knows nothing of tensors."""
