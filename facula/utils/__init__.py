"""Packages under PyTorch's `torch.utils` paths."""
