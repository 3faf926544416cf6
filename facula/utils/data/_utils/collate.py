"""Collating, at the path that libraries import it from."""

from ..collate import collate, default_collate, default_collate_err_msg_format, default_collate_fn_map, default_convert

__all__ = ["collate", "default_collate", "default_collate_err_msg_format", "default_collate_fn_map", "default_convert"]
