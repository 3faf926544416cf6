"""LLVM text to machine code: the only place that knows the LLVM binding, and it is imported when a kernel is not in the cache.

Kernels spell their vectors out, so a few light passes give the same speed as LLVM's whole pipeline in less than half of the time.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal

import llvmlite.binding as llvm

from ..base.target import Target
from ..runtime import images

Level = Literal["light", "full"]  # full: LLVM's own pipeline without its vectorisers, for native modules that want inlining

# Measured on a 14 x 2 tile kernel: 1.6 ms for these, 10.3 ms for the whole pipeline, the same machine code. always_inliner costs 0.05 ms
# and serves emitters that mark a function "alwaysinline".
LIGHT = ("always_inliner", "sroa", "instruction_combine", "simplify_cfg")

_engines: list[Any] = []  # code that LLVM itself loaded must stay alive


@functools.cache
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def _machine(target: Target, jit: bool = False) -> llvm.TargetMachine:
    _initialise()
    how: dict[str, Any] = {"jit": True} if jit else {"reloc": "pic", "codemodel": "small"}
    if target.name == "wasm32":
        how = {"reloc": "static", "codemodel": "default"}
    return llvm.Target.from_triple(target.triple).create_target_machine(cpu=target.cpu, features=target.features, opt=3, **how)


def _optimised(text: str, target: Target, level: Level, jit: bool = False) -> llvm.ModuleRef:
    machine = _machine(target, jit)
    module = llvm.parse_assembly(text)
    if not target.name.startswith("x86"):  # elsewhere sizes and alignments differ from those that the passes assume, as of 4-byte pointers
        module.data_layout = str(machine.target_data)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, tuning)
    if level == "full":
        builder.getModulePassManager().run(module, builder)
        return module
    passes = llvm.create_new_module_pass_manager()
    for add in LIGHT:
        getattr(passes, f"add_{add}_pass")()
    passes.run(module, builder)
    return module


def object_code(text: str, target: Target, level: Level = "light") -> bytes:
    """A relocatable object file. RuntimeError when the text is not valid."""
    with images.lock:
        return _machine(target).emit_object(_optimised(text, target, level))


def assembly(text: str, target: Target, level: Level = "light") -> str:
    with images.lock:
        return _machine(target).emit_assembly(_optimised(text, target, level))


def optimised_text(text: str, target: Target, level: Level = "light") -> str:
    """LLVM text after the passes."""
    with images.lock:
        return str(_optimised(text, target, level))


def load(text: str, target: Target, level: Level = "light", symbols: Mapping[str, int] | None = None) -> dict[str, int]:
    """Code loaded by LLVM's own linker, for objects that `runtime.images` does not know: {exported name: address}."""
    with images.lock:
        module = _optimised(text, target, level, jit=True)
        functions = list(module.functions)
        wanted = [f for f in functions if f.is_declaration and not f.name.startswith("llvm.")]
        for value in [*wanted, *(g for g in module.global_variables if g.is_declaration)]:
            llvm.add_symbol(value.name, images.resolve(value.name, symbols))
        names = [f.name for f in functions if not f.is_declaration and f.linkage == llvm.Linkage.external]
        engine = llvm.create_mcjit_compiler(module, _machine(target, jit=True))
        engine.finalize_object()
        _engines.append(engine)
        return {name: engine.get_function_address(name) for name in names}
