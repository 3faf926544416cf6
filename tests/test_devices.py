"""What programs ask about devices before they choose one."""

from __future__ import annotations

import pytest

import facula


def test_the_usual_choice_is_the_processor() -> None:
    assert facula.device("cuda" if facula.cuda.is_available() else "mps" if facula.backends.mps.is_available() else "cpu").type == "cpu"
    assert facula.cuda.device_count() == 0 and facula.version.cuda is None
    facula.cuda.manual_seed_all(0)
    facula.backends.cudnn.benchmark = True
    facula.backends.cudnn.benchmark = False


def test_what_needs_a_device_says_so() -> None:
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        facula.cuda.synchronize()


def test_the_generator_from_its_room() -> None:
    facula.random.manual_seed(3)
    assert facula.initial_seed() == facula.random.initial_seed() == 3


def test_a_forked_generator_leaves_no_trace() -> None:
    facula.manual_seed(0)
    with facula.random.fork_rng():
        inside = facula.rand(2).tolist()
    assert facula.rand(2).tolist() == inside
