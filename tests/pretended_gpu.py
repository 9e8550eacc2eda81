"""A GPU that is pretended: tensors that say they are on one, with their numbers on the CPU, and a clock of its own.

    with pretended() as gpu:
        ...
    assert gpu.faults == [] and not gpu.waits

In the block all that asks torch for CUDA finds one. A tensor "on cuda" (`OnGpu`) is a wrapper, so that autocast, the
layouts and torch's own questions take it for one: it does not mix with tensors of the CPU, and is no array. What makes
a GPU different in time is kept track of:

* `waits` counts whatever makes the CPU wait for the GPU, with the line of src that asked for it;
* a copy to the CPU with non_blocking=True has NaN until an event or a stream was waited for;
* the pinned source of a copy may not change before that, a tensor written on one stream may not be read on another that
  has not waited for it, nor its memory be given away without record_stream: `faults` says where it does;
* `refuse(func, args)`, or memory beyond `total` bytes, ends an operator in torch.OutOfMemoryError.

No kernel of CUDA runs: its bugs, the dtypes it lacks, its sums, TF32, torch.compile and speed are not seen. Where torch
has its own kernels for cuDNN and fused attention, the plain ones of the CPU are taken.
"""

import contextlib
import functools
import sys
import types
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import src

aten = torch.ops.aten
SOURCE = str(Path(src.__file__).parent)
PLACE = torch.device("cuda", 0)
WAITING = {  # for their result the CPU waits; of indices by a mask see `masks`
    aten._local_scalar_dense.default: "item",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "masked_select",
    aten.equal.default: "equal",
    aten._linalg_eigh.default: "eigh",
    aten.linalg_eigh.default: "eigh",
    aten.bincount.default: "bincount",
    aten.repeat_interleave.Tensor: "repeat_interleave",
    aten._unique2.default: "unique",
}
COPIES = {aten._to_copy.default, aten.copy_.default}
BY_INDEX = {
    *(aten.index.Tensor, aten._unsafe_index.Tensor, aten.index_put.default, aten.index_put_.default),
    aten._index_put_impl_.default,
}
ON_CPU = {name: getattr(torch.Tensor, name) for name in ("pin_memory", "is_pinned")}


def where() -> str:
    """The innermost line of src that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(SOURCE):
            return f"{name[len(SOURCE) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"


def leaves(tree: object) -> Iterator[object]:
    """What an operator's arguments or results are made of. (torch's own pytree takes ten times as long.)"""
    if isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from leaves(branch)
    elif isinstance(tree, dict):
        yield from leaves(list(tree.values()))
    else:
        yield tree


def mapped(tree: object, kind: type, change: Callable) -> object:
    """The same with each leaf of a kind changed."""
    if isinstance(tree, (tuple, list)):
        return type(tree)([mapped(branch, kind, change) for branch in tree])
    if isinstance(tree, dict):
        return {name: mapped(branch, kind, change) for name, branch in tree.items()}
    return change(tree) if isinstance(tree, kind) else tree


def is_gpu(device: object) -> bool:
    return isinstance(device, (str, torch.device)) and torch.device(device).type == "cuda"


class OnGpu(torch.Tensor):
    """A tensor whose numbers are in `held`, on the CPU."""

    @staticmethod
    def __new__(cls, held: torch.Tensor, gpu: "Gpu", requires_grad: bool = False):
        return torch.Tensor._make_wrapper_subclass(
            *(cls, held.size()),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=PLACE,
            requires_grad=requires_grad,
        )

    def __init__(self, held: torch.Tensor, gpu: "Gpu", requires_grad: bool = False):
        self.held, self.gpu = held, gpu
        self.home = gpu.stream.number  # the stream whose memory it is
        self.readers = {self.home}  # by record_stream
        self.written = gpu.now
        gpu.keep(self)

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, kinds, args=(), kwargs=None):
        gpu = next(x.gpu for x in leaves((args, kwargs or {})) if isinstance(x, cls))
        return gpu.run(func, args, kwargs or {})

    def numpy(self, **_):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first (pretended)")

    __array__ = numpy

    def tolist(self):
        self.gpu.wait("tolist")
        return self.held.tolist()

    def is_pinned(self, device=None):
        return False

    def record_stream(self, stream: "Stream"):
        self.readers.add(stream.number)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        backward(self, torch.ones_like(self) if gradient is None else gradient)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            with torch.no_grad():
                new = self.detach().clone()
            is_parameter = isinstance(self, torch.nn.Parameter)
            new.requires_grad_(self.requires_grad)
            memo[id(self)] = torch.nn.Parameter(new, self.requires_grad) if is_parameter else new
        return memo[id(self)]

    def __repr__(self):
        return f"OnGpu({self.held})"


class Stream:
    """A queue of the GPU's work; `knows` says up to which piece of another's it has waited."""

    gpu: "Gpu"
    device = PLACE

    def __init__(self, *_, **__):
        self.gpu.streams += 1
        self.number, self.at, self.knows = self.gpu.streams, 0, {}

    @property
    def reached(self) -> dict[int, int]:
        """Of each stream, the pieces of work that are done when this one has come to its end."""
        return {**self.knows, self.number: self.at}

    def learn(self, reached: dict[int, int]) -> None:
        for number, at in reached.items():
            self.knows[number] = max(self.knows.get(number, 0), at)

    def wait_stream(self, other: "Stream") -> None:
        self.learn(other.reached)

    def wait_event(self, event: "Event") -> None:
        self.learn(event.reached)

    def record_event(self, event: "Event | None" = None) -> "Event":
        event = event or torch.cuda.Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        self.gpu.wait("stream.synchronize", self.reached)

    def query(self) -> bool:
        return False


class Event:
    gpu: "Gpu"

    def __init__(self, enable_timing: bool = False, **_):
        self.timing, self.reached, self.done = enable_timing, {}, False

    def record(self, stream: Stream | None = None) -> None:
        self.reached = dict((stream or self.gpu.stream).reached)

    def synchronize(self) -> None:
        self.gpu.wait("event.synchronize", self.reached)
        self.done = True

    def wait(self, stream: Stream | None = None) -> None:
        (stream or self.gpu.stream).wait_event(self)

    def query(self) -> bool:
        return self.done

    def elapsed_time(self, other: "Event") -> float:
        if not (self.timing and other.timing and self.reached and other.done):
            raise RuntimeError("CUDA error: device not ready, or an event without timing (pretended)")
        return 1.0  # ms


class Generator(torch.Generator):
    """One of the CPU, for whatever device it is asked."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, device="cpu")


class Gpu(TorchDispatchMode):
    """What a block of `pretended` has done on its GPU."""

    def __init__(self, total: float, half: bool, count: int):
        super().__init__()
        self.total, self.half, self.count = total, half, count
        self.waits, self.calls, self.faults = Counter(), Counter(), []
        self.refuse: Callable | None = None
        self.launches = 0  # operators that are no views
        self.live = self.peak = 0  # bytes
        self.storages = Counter()
        self.pinned: set[int] = set()
        self.coming: list[tuple] = []  # copies to the CPU: stream, its piece of work, the copy, its numbers
        self.leaving: list[tuple] = []  # from pinned memory: stream, piece, the source, its numbers, where
        self.streams = 0
        self.Stream, self.Event = (type(kind.__name__, (kind,), {"gpu": self}) for kind in (Stream, Event))
        self.default = self.stream = self.Stream()
        self.generator = torch.Generator().manual_seed(0)
        self.seeded: list[int] = []

    @property
    def now(self) -> tuple[int, int]:
        return self.stream.number, self.stream.at

    # Memory

    def keep(self, tensor: OnGpu) -> None:
        storage = tensor.held.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        self.storages[key] += 1
        if self.storages[key] == 1:
            self.live += size
            self.peak = max(self.peak, self.live)
        weakref.finalize(tensor, self.drop, key, size)

    def drop(self, key: int, size: int) -> None:
        self.storages[key] -= 1
        if not self.storages[key]:
            self.live -= size

    def check_memory(self) -> None:
        if self.live > self.total:
            raise torch.OutOfMemoryError("CUDA out of memory. (pretended)")

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        self.pinned.add(storage.data_ptr())
        weakref.finalize(storage, self.pinned.discard, storage.data_ptr())
        return tensor

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self.pinned

    # Time

    def wait(self, what: str, reached: dict[int, int] | None = None) -> None:
        """The CPU waits until the streams have come so far; None: for the stream that is current."""
        self.waits[what, where()] += 1
        self.arrive(self.stream.reached if reached is None else reached)

    def arrive(self, reached: dict[int, int]) -> None:
        def is_over(one: tuple) -> bool:
            return one[1] <= reached.get(one[0], -1)

        for _, _, copy, numbers in filter(is_over, self.coming):
            with torch.inference_mode(copy.is_inference()):
                copy.copy_(numbers)
        for _, _, source, numbers, place in filter(is_over, self.leaving):
            if not torch.equal(source, numbers):
                self.faults.append(f"pinned memory was written to before its copy was done ({place}) at {where()}")
        self.coming = [one for one in self.coming if not is_over(one)]
        self.leaving = [one for one in self.leaving if not is_over(one)]

    def everything(self) -> dict[int, int]:
        return dict.fromkeys(range(1, self.streams + 1), sys.maxsize)

    # Operators

    def __torch_dispatch__(self, func, kinds, args=(), kwargs=None):
        kwargs = kwargs or {}
        if any(
            isinstance(x, OnGpu) or (isinstance(x, torch.device) and x.type == "cuda") for x in leaves((args, kwargs))
        ):
            return self.run(func, args, kwargs)
        if not kwargs.get("pin_memory"):
            return func(*args, **kwargs)
        return self.pin(func(*args, **{**kwargs, "pin_memory": False}))

    def run(self, func, args: tuple, kwargs: dict):
        """An operator's result: of the GPU, of the CPU (a copy to it), or a number."""
        given = [x for x in leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        ours = [x for x in given if isinstance(x, OnGpu)]
        if func is aten._fused_sdp_choice.default:
            return torch.nn.attention.SDPBackend.MATH.value
        if func in COPIES:
            return self.copied(func, args, kwargs)
        if torch.is_inference_mode_enabled() and func._can_decompose():  # elsewhere autograd has taken it apart
            with self:
                if (out := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return out
        self.stream.at += 1
        self.launches += not is_view(func)
        if self.refuse is not None and self.refuse(func, args):
            raise torch.OutOfMemoryError("CUDA out of memory. (pretended)")
        if func in BY_INDEX:
            self.masks(func, args)
        elif ours and any(not isinstance(x, OnGpu) and x.dim() for x in given):
            raise RuntimeError(f"Expected all tensors to be on the same device: {func} (pretended)")
        for x in ours:
            self.reads(x, func)
        if func in WAITING:
            self.wait(WAITING[func])
        out = self.computed(func, args, kwargs)
        if kwargs.get("device") is not None and not is_gpu(kwargs["device"]):  # such as empty_like(..., device="cpu")
            return self.pin(out) if kwargs.get("pin_memory") else out
        if func._schema.is_mutable:
            for x in ours:
                if x.shape != x.held.shape:
                    self.faults.append(f"{func} has changed a shape in place, which is not pretended")
                x.written = self.now
        held = {id(x.held): x for x in ours}
        # a view of a tensor that autograd knows is one, too
        with torch.inference_mode(torch.is_inference_mode_enabled() and not (is_view(func) and not_inference(ours))):
            made = mapped(out, torch.Tensor, lambda t: held[id(t)] if id(t) in held else OnGpu(t, self))
        self.check_memory()
        return made

    def computed(self, func, args: tuple, kwargs: dict):
        """By the CPU; random numbers are the GPU's own."""
        args, kwargs = mapped((args, kwargs), OnGpu, lambda x: x.held)
        kwargs = {k: torch.device("cpu") if k == "device" and is_gpu(v) else v for k, v in kwargs.items()}
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
        random = torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None
        with torch.no_grad(), torch._C._DisableAutocast():
            if not random:
                return func(*args, **kwargs)
            before = torch.get_rng_state()
            torch.set_rng_state(self.generator.get_state())
            try:
                return func(*args, **kwargs)
            finally:
                self.generator.set_state(torch.get_rng_state())
                torch.set_rng_state(before)

    def reads(self, x: OnGpu, func) -> None:
        stream, (number, at) = self.stream, x.written
        if number != stream.number and stream.knows.get(number, 0) < at:
            self.faults.append(f"{func} reads what another stream writes, without waiting, at {where()}")
        if stream.number not in x.readers:
            self.faults.append(f"{func} uses memory of another stream, without record_stream, at {where()}")

    def masks(self, func, args: tuple) -> None:
        """Count the waits for indices: a mask is looked at on the CPU, unless one number is written where it holds."""
        indices = [x for x in args[1] if x is not None]
        writes = func not in (aten.index.Tensor, aten._unsafe_index.Tensor)
        if writes and len(indices) == 1 and indices[0].dtype == torch.bool and args[2].numel() == 1:
            if not isinstance(indices[0], OnGpu):
                self.wait("a mask of the CPU")
            return
        for x in indices:
            if x.dtype in (torch.bool, torch.uint8):
                self.wait("a mask as an index")
            if not isinstance(x, OnGpu):
                self.wait("an index of the CPU")

    # Copies

    def copied(self, func, args: tuple, kwargs: dict):
        """A copy, within the GPU or to or from it."""
        self.stream.at += 1
        self.launches += 1
        into = args[0] if func is aten.copy_.default else None
        source = args[0] if into is None else args[1]
        to = kwargs.get("device") or source.device if into is None else into.device
        later = kwargs.get("non_blocking", False) or (into is not None and len(args) > 2 and args[2])
        if self.refuse is not None and is_gpu(to) and self.refuse(func, args):
            raise torch.OutOfMemoryError("CUDA out of memory. (pretended)")
        for x in (source, into):
            if isinstance(x, OnGpu):
                self.reads(x, func)
        if is_gpu(source.device) == is_gpu(to):
            later = True
        elif is_gpu(to):
            self.sent(source, later)
        else:
            self.calls["bytes to the CPU"] += source.nbytes
            later = self.fetched(into, later)
        out = self.computed(func, args, {k: v for k, v in kwargs.items() if k != "non_blocking"})
        if into is not None:
            if isinstance(into, OnGpu):
                into.written = self.now
            out = into if isinstance(into, OnGpu) else out
        elif is_gpu(to):
            out = OnGpu(out, self)
            self.check_memory()
        if not is_gpu(to) and later:
            self.hide(out)
        return out

    def sent(self, source: torch.Tensor, later: bool) -> None:
        if not source.numel():
            return
        if not later or not self.is_pinned(source):
            self.wait("copy to the GPU" if not later else "copy to the GPU from memory that is not pinned")
            return
        self.leaving.append((*self.now, source, source.clone(), where()))

    def fetched(self, into: torch.Tensor | None, later: bool) -> bool:
        """Whether the numbers come later."""
        if later and (into is None or self.is_pinned(into)):
            return True
        self.wait("copy to the CPU")
        return False

    def hide(self, copy: torch.Tensor) -> None:
        """The numbers of a copy to the CPU come when it is waited for."""
        self.coming.append((*self.now, copy, copy.clone()))
        copy.fill_(float("nan") if copy.is_floating_point() else 77)
        self.pin(copy)


@functools.cache
def is_view(func) -> bool:
    """Whether an operator returns memory that it was given, and computes nothing."""
    return any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)


def not_inference(tensors: list[torch.Tensor]) -> bool:
    return not any(x.is_inference() for x in tensors)


def backward(root: torch.Tensor, gradient: torch.Tensor) -> None:
    """Autograd's engine: torch's own would ask the driver for streams. The newest nodes come first, as with it."""
    waiting, stack = Counter(), [root.grad_fn]
    seen = set(stack)
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None:
                waiting[node] += 1
                if node not in seen:
                    seen.add(node)
                    stack.append(node)
    gradients, ready = {root.grad_fn: {root.output_nr: gradient}}, [root.grad_fn]
    with torch.no_grad():
        while ready:
            node = max(ready, key=lambda one: getattr(one, "_sequence_nr", int)())
            ready.remove(node)
            given = gradients.pop(node, {})
            inputs = [fitting(given.get(i), about) for i, about in enumerate(node._input_metadata)] or [given.get(0)]
            found = (None,) * len(node.next_functions)
            if any(one is not None for one in inputs):
                found = getattr(node, "apply", node)(*inputs)
                found = found if isinstance(found, tuple) else (found,)
            for (following, place), one in zip(node.next_functions, found, strict=False):
                if following is None:
                    continue
                if one is not None:
                    there = gradients.setdefault(following, {})
                    there[place] = there[place] + one if place in there else one
                waiting[following] -= 1
                if not waiting[following]:
                    ready.append(following)


def fitting(gradient: torch.Tensor | None, about) -> torch.Tensor | None:
    """A gradient in the shape and dtype of what it is the gradient of, as torch's engine gives it to a node."""
    if gradient is None:
        return None
    if gradient.device != about.device and gradient.dim():
        raise RuntimeError(f"a gradient on {gradient.device} of a tensor on {about.device} (pretended)")
    return gradient.sum_to_size(tuple(about.shape)).to(about.device, about.dtype)


@contextlib.contextmanager
def pretended(total: float = 80e9, half: bool = True, count: int = 1) -> Iterator[Gpu]:
    """A GPU in the block.

    Args:
        total: Bytes of its memory.
        half: Whether it computes in bfloat16; without, it is of the kind of a T4.
        count: GPUs that torch counts; the first is used.
    """
    torch._C._ensureCUDADeviceGuardSet()  # else torch asks the driver which GPU is current, where a copy names none
    gpu = Gpu(total, half, count)

    def seed(number: int) -> None:
        gpu.seeded.append(int(number))
        gpu.generator.manual_seed(int(number))

    @contextlib.contextmanager
    def stream(one: Stream | None):
        before, gpu.stream = gpu.stream, one or gpu.stream
        try:
            yield
        finally:
            gpu.stream = before

    def synchronize(device=None) -> None:
        gpu.wait("synchronize", gpu.everything())

    about = types.SimpleNamespace(
        name="NVIDIA Pretended",
        major=9 if half else 7,
        minor=0 if half else 5,
        total_memory=int(total),
        multi_processor_count=132,
    )
    cuda = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "_is_in_bad_fork": lambda: False,
        "device_count": lambda: count,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "get_device_name": lambda device=None: about.name,
        "get_device_capability": lambda device=None: (about.major, about.minor),
        "get_arch_list": lambda: ["sm_75", "sm_80", "sm_90"],
        "get_device_properties": lambda device=None: about,
        "is_bf16_supported": lambda including_emulation=True: half or including_emulation,
        "mem_get_info": lambda device=None: (int(total - gpu.live), int(total)),
        "empty_cache": lambda: gpu.calls.update(["empty_cache"]),
        "reset_peak_memory_stats": lambda device=None: setattr(gpu, "peak", gpu.live),
        "max_memory_allocated": lambda device=None: gpu.peak,
        "memory_allocated": lambda device=None: gpu.live,
        "memory_reserved": lambda device=None: gpu.live,
        "synchronize": synchronize,
        "manual_seed": seed,
        "manual_seed_all": seed,
        "get_rng_state": lambda device="cuda": gpu.generator.get_state(),
        "set_rng_state": lambda state, device="cuda": gpu.generator.set_state(state),
        "Stream": gpu.Stream,
        "Event": gpu.Event,
        "stream": stream,
        "current_stream": lambda device=None: gpu.stream,
        "default_stream": lambda device=None: gpu.default,
        "is_current_stream_capturing": lambda: False,
    }
    accelerator = {
        "is_available": lambda: True,
        "current_accelerator": lambda check_available=False: PLACE,
        "set_device_index": lambda device: None,
        "current_device_index": lambda: 0,
        "synchronize": synchronize,
    }

    def pin_memory(tensor: torch.Tensor, device=None) -> torch.Tensor:
        return gpu.pin(tensor.clone())

    def is_pinned(tensor: torch.Tensor, device=None) -> bool:
        return gpu.is_pinned(tensor)

    with contextlib.ExitStack() as stack:
        for owner, names in ((torch.cuda, cuda), (torch.accelerator, accelerator)):
            for name, value in names.items():
                stack.enter_context(mock.patch.object(owner, name, value))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        stack.enter_context(mock.patch.object(torch.Tensor, "pin_memory", pin_memory))
        stack.enter_context(mock.patch.object(torch.Tensor, "is_pinned", is_pinned))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        # torch.tensor(..., device="cuda") makes it on the CPU and copies it where this mode sees it
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        # a module's parameters are replaced when it moves: set_data would take the wrapper and leave its numbers
        before = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, before)
        stack.enter_context(gpu)
        try:
            yield gpu
        finally:
            gpu.arrive(gpu.everything())
