"""Floor 0: element types, devices, errors, settings. Knows nothing of tensors or of LLVM."""
