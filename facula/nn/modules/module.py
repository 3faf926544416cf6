"""`Module`: a tree of named parameters, buffers and children with a `forward`."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import facula.nn.modules.module_hooks as module_hooks
import facula.nn.modules.module_state as module_state
import facula.nn.modules.module_walk as module_walk

from ...base.errors import fold, refuse
from ...core import Tensor
from ...core.guards import refused
from ..parameter import Parameter, is_buffer, is_parameter
from .module_base import ModuleBase
from .module_hooks import (
    BACKWARD,
    BACKWARD_PRE,
    FORWARD,
    PRE,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)


def typename(value: Any) -> str:
    """The name of a value's type as error messages write it: `torch.FloatTensor`, `int`, `package.module.Class`."""
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    return kind.__qualname__ if kind.__module__ in ("", "builtins", None) else f"{kind.__module__}.{kind.__qualname__}"


def indented(text: str, spaces: int) -> str:
    """`text` with every line but the first moved right."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * spaces + line for line in rest)])


def locate(module: Module, error: BaseException) -> None:
    """Note on `error` the path of modules that it left through, outermost first: `in: encoder.head.proj (Linear)`.

    Called once for each module while the error unwinds, so the note grows from the inside; `error.where` holds the text.
    """
    trail = getattr(error, "_modules_left", None)
    if trail is None:
        path, kind = "", type(module).__name__
    else:
        inner, path, kind = trail
        name = next((n for n, m in module.named_modules() if id(m) == inner), None)
        if name is None:
            return
        path = f"{name}.{path}".strip(".") if name else path
    note = f"  in:       {path} ({kind})" if path else f"  in:       {kind}"
    notes = getattr(error, "__notes__", None)
    try:
        if notes and trail is not None and notes[-1].startswith("  in:  "):
            notes[-1] = note
        elif hasattr(error, "add_note"):
            error.add_note(note)  # type: ignore[attr-defined]
        error._modules_left = (id(module), path, kind)  # type: ignore[attr-defined]
        error.where = path or kind  # type: ignore[attr-defined]
    except AttributeError:  # an exception class without room for attributes
        return


class Module(ModuleBase):
    """Base of all networks. Assigning a `Parameter`, a `Buffer` or a `Module` as an attribute registers it under that name.

    Subclasses define `forward`; call the module itself, which also runs its hooks.
    """

    dump_patches = False
    call_super_init = False
    _version = 1
    _compiled_call_impl: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and kwargs:
            raise refuse(TypeError, f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'")
        if not self.call_super_init and args:
            raise refuse(TypeError, f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given")
        own = self.__dict__
        own["training"] = True
        own["_parameters"] = {}
        own["_buffers"] = {}
        own["_non_persistent_buffers_set"] = set()
        own["_backward_pre_hooks"] = OrderedDict()
        own["_backward_hooks"] = OrderedDict()
        own["_is_full_backward_hook"] = None
        own["_forward_hooks"] = OrderedDict()
        own["_forward_hooks_with_kwargs"] = OrderedDict()
        own["_forward_hooks_always_called"] = OrderedDict()
        own["_forward_pre_hooks"] = OrderedDict()
        own["_forward_pre_hooks_with_kwargs"] = OrderedDict()
        own["_state_dict_hooks"] = OrderedDict()
        own["_state_dict_pre_hooks"] = OrderedDict()
        own["_load_state_dict_pre_hooks"] = OrderedDict()
        own["_load_state_dict_post_hooks"] = OrderedDict()
        own["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # ------------------------------------------------------------ calling
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise refuse(NotImplementedError, f'Module [{type(self).__name__}] is missing the required "forward" function',
                     hint=f"def forward(self, x): ... in class {type(self).__name__}")  # fmt: skip

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._compiled_call_impl is not None:
                return self._compiled_call_impl(*args, **kwargs)
            if (
                self._forward_hooks
                or self._forward_pre_hooks
                or self._backward_hooks
                or self._backward_pre_hooks
                or PRE
                or FORWARD
                or BACKWARD
                or BACKWARD_PRE
            ):
                return module_hooks.call_hooked(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            refusal = refused(error, type(self).forward, f"{type(self).__name__}.forward", (self, *args), kwargs)
            locate(self, refusal or error)
            fold(error)
            if refusal is None:
                raise
        raise refusal

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """The call without a compiled form."""
        return module_hooks.call_hooked(self, args, kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile this module's `__call__` in place; arguments go to `facula.compile`."""
        from ...graph import compile as compiled

        self._compiled_call_impl = compiled(self._call_impl, *args, **kwargs)

    # ------------------------------------------------------------ attributes
    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        parameters = own.get("_parameters")
        if is_parameter(value):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, own, self._buffers, self._modules)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if parameters is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, own, parameters, self._buffers)
            self._modules[name] = module_hooks.registered(module_hooks.MODULE_REGISTRATION, self, name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise refuse(TypeError, f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)",
                             received=typename(value), expected="Parameter or None", hint=f"self.{name} = Parameter(...)")  # fmt: skip
            self.register_parameter(name, value)
        elif parameters is not None and name in self._modules:
            if value is not None:
                raise refuse(TypeError, f"cannot assign '{typename(value)}' as child module '{name}' (torch.nn.Module or None expected)",
                             received=typename(value), expected="Module or None")  # fmt: skip
            self._modules[name] = module_hooks.registered(module_hooks.MODULE_REGISTRATION, self, name, value)
        elif parameters is not None and (name in self._buffers or is_buffer(value)):
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise refuse(
                TypeError,
                f"cannot assign '{typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)",
                received=typename(value),
                expected="Tensor or None",
            )
        if name not in self._buffers:
            self._forget(name, self.__dict__, self._parameters, self._modules)
            self.register_buffer(name, value, getattr(value, "persistent", True))
        else:
            self._buffers[name] = module_hooks.registered(module_hooks.BUFFER_REGISTRATION, self, name, value)

    def _forget(self, name: str, *tables: dict[str, Any]) -> None:
        for table in tables:
            table.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
                     "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
                     "_backward_pre_hooks"):  # fmt: skip
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        return state

    # ------------------------------------------------------------ registering
    def _checked_name(self, what: str, name: Any, table: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise refuse(TypeError, f"{what} name should be a string. Got {typename(name)}", received=repr(name), expected="a str")
        if "." in name:
            raise refuse(KeyError, f'{what} name can\'t contain "."' + (f", got: {name}" if what == "module" else ""), received=name)
        if name == "":
            raise refuse(KeyError, f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in table:
            raise refuse(KeyError, f"attribute '{name}' already exists", hint="take another name, or delete the attribute first")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Keep `tensor` as state that is not trained; only persistent buffers are in the state dict."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._checked_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise refuse(TypeError, f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)",
                         received=typename(tensor), expected="Tensor or None")  # fmt: skip
        self._buffers[name] = module_hooks.registered(module_hooks.BUFFER_REGISTRATION, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Keep `param` as a parameter under `name`."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._checked_name("parameter", name, self._parameters)
        if param is not None:
            if not is_parameter(param):
                raise refuse(
                    TypeError,
                    f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)",
                    received=typename(param),
                    expected="Parameter or None",
                    hint=f"register_parameter({name!r}, Parameter(...))",
                )
            if param.grad_fn is not None:
                raise refuse(
                    ValueError,
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To "
                    f"express '{name}' as a function of another Tensor, compute the value in the forward() method.",
                )
            param = module_hooks.registered(module_hooks.PARAMETER_REGISTRATION, self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Keep `module` as a child under `name`."""
        if not isinstance(module, Module) and module is not None:
            raise refuse(TypeError, f"{typename(module)} is not a Module subclass", received=repr(module), expected="a Module or None")
        self._checked_name("module", name, self._modules)
        self._modules[name] = module_hooks.registered(module_hooks.MODULE_REGISTRATION, self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """`add_module` under its other name."""
        self.add_module(name, module)

    # ------------------------------------------------------------ modes
    def train(self, mode: bool = True) -> Any:
        """Set `training` here and below; dropout and batch normalisation look at it."""
        if not isinstance(mode, bool):
            raise refuse(ValueError, "training mode is expected to be boolean", received=repr(mode), expected="True or False")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Any:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Set `requires_grad` of every parameter."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to zero."""
        for p in self.parameters():
            if p.grad is None:
                continue
            if set_to_none:
                p.grad = None
            else:
                if p.grad.grad_fn is not None:
                    p.grad.detach_()
                else:
                    p.grad.requires_grad_(False)
                p.grad.zero_()

    def share_memory(self) -> Any:
        """Move parameters and buffers into memory that other processes see."""
        return self._apply(lambda t: t.share_memory_())

    # ------------------------------------------------------------ text
    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The arguments that `repr` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        own = extra.split("\n") if extra else []
        children = [f"({name}): {indented(repr(child), 2)}" for name, child in self._modules.items()]
        if len(own) == 1 and not children:
            return f"{self._get_name()}({own[0]})"
        lines = own + children
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{self._get_name()}()"

    # ------------------------------------------------------------ from the files beside this one
    register_forward_pre_hook = module_hooks.register_forward_pre_hook
    register_forward_hook = module_hooks.register_forward_hook
    register_full_backward_pre_hook = module_hooks.register_full_backward_pre_hook
    register_full_backward_hook = module_hooks.register_full_backward_hook
    register_backward_hook = module_hooks.register_backward_hook

    state_dict = module_state.state_dict
    load_state_dict = module_state.load_state_dict
    register_state_dict_post_hook = module_state.register_state_dict_post_hook
    register_state_dict_pre_hook = module_state.register_state_dict_pre_hook
    register_load_state_dict_pre_hook = module_state.register_load_state_dict_pre_hook
    register_load_state_dict_post_hook = module_state.register_load_state_dict_post_hook
    _register_state_dict_hook = module_state._register_state_dict_hook
    _register_load_state_dict_pre_hook = module_state._register_load_state_dict_pre_hook
    _save_to_state_dict = module_state._save_to_state_dict
    _load_from_state_dict = module_state._load_from_state_dict

    named_parameters = module_walk.named_parameters
    parameters = module_walk.parameters
    named_buffers = module_walk.named_buffers
    buffers = module_walk.buffers
    named_children = module_walk.named_children
    children = module_walk.children
    named_modules = module_walk.named_modules
    modules = module_walk.modules
    _named_members = module_walk._named_members
    get_submodule = module_walk.get_submodule
    set_submodule = module_walk.set_submodule
    get_parameter = module_walk.get_parameter
    get_buffer = module_walk.get_buffer
    apply = module_walk.apply
    _apply = module_walk._apply
    to = module_walk.to
    to_empty = module_walk.to_empty
    type = module_walk.type_
    float = module_walk.float_
    double = module_walk.double
    half = module_walk.half
    bfloat16 = module_walk.bfloat16
    cpu = module_walk.cpu
    cuda, xpu, ipu, mtia = module_walk.cuda, module_walk.xpu, module_walk.ipu, module_walk.mtia


__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]  # the hooks of all modules, at PyTorch's path
