"""What a model is made of: layers in the order in which they run, with output shapes, parameters, FLOPs and memory."""

from .table import Row, Summary, summarize

__all__ = ["Row", "Summary", "summarize"]
