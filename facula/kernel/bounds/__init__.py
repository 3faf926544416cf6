"""Bounds checks: kernels whose every access is compared with what their launch may touch (FACULA_CHECK_BOUNDS=1)."""
