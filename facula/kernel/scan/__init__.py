"""Inclusive scans along one dim; the reducers of `kernel.reduction` and those that only scans have."""

from __future__ import annotations

from .nest import complex_logcumsumexp_of, cummax_of, cummin_of, interpret_scan, scan

__all__ = ["complex_logcumsumexp_of", "cummax_of", "cummin_of", "interpret_scan", "scan"]
