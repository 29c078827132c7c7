"""What a submission may not hold, found by reading it: nothing is executed.

This names what is tried, early and in a sentence; it is not what makes it harmless. A submission that gets past it is
still alone in a stage, where it finds neither the reference nor a clock that counts.
"""

from __future__ import annotations

import ast
import re

from envserver.envs._kernel.verdict import Rejected

__all__ = ["MOST_CHARS", "block", "check", "check_native", "constants", "parsed"]

MOST_CHARS = 100_000
FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$", re.M | re.S)
MODULES = {"torch", "math", "typing", "functools", "itertools", "dataclasses", "collections", "numpy", "__future__"}
LANGUAGE_MODULES = {"triton": {"triton"}, "numba": {"numba"}}
NAMED_MODULES = {
    "network": ("socket", "urllib", "requests", "http", "httpx", "ssl", "ftplib", "smtplib", "asyncio"),
    "processes": ("subprocess", "multiprocessing", "threading", "concurrent", "_thread", "pty", "sched", "queue"),
    "introspection": (
        "gc", "inspect", "sys", "types", "traceback", "weakref", "importlib", "pkgutil", "dis", "builtins", "linecache",
        "tracemalloc", "faulthandler", "ctypes", "cffi", "operator", "unittest",
    ),
    "file_access": (
        "os", "io", "pathlib", "shutil", "tempfile", "glob", "pickle", "mmap", "fcntl", "zipfile", "shelve",
    ),
    "exit_hooks": ("atexit", "signal"),
    "clock": ("time", "datetime", "timeit"),
}  # fmt: skip
SHUT = {
    "introspection": (
        "overrides", "untyped_storage", "storage", "as_strided_", "set_", "modules", "f_back", "f_locals", "f_globals",
        "gi_frame", "get_type_hints", "ctypeslib", "register_forward_hook", "register_forward_pre_hook", "fx", "export",
    ),
    "dynamic_code": ("hub", "exec", "eval"),
    "file_access": (
        "load", "save", "from_file", "fromfile", "tofile", "memmap", "loadtxt", "savetxt", "genfromtxt", "dump",
        "savez", "share_memory_",
    ),
    "network": ("distributed", "rpc"),
    "processes": ("multiprocessing", "launch"),
    "environment": ("environ", "getenv", "putenv"),
    "clock": ("profiler", "Event", "elapsed_time", "benchmark", "testing", "do_bench", "record_event"),
    "patching": ("library", "register_module", "add_module", "setattr"),
    "streams": (
        "Stream", "stream", "ExternalStream", "set_stream", "current_stream", "default_stream", "CUDAGraph", "graph",
        "synchronize", "fork", "wait",
    ),
    "settings": (
        "backends", "set_default_dtype", "set_default_tensor_type", "set_default_device", "set_num_threads", "seed",
        "set_num_interop_threads", "set_float32_matmul_precision", "set_flush_denormal", "manual_seed", "set_rng_state",
        "use_deterministic_algorithms", "autocast", "set_grad_enabled",
    ),
}  # fmt: skip
"""Kind -> attributes of a library that are not a kernel's business."""
BY_ATTRIBUTE = {name: kind for kind, names in SHUT.items() for name in names}
BY_CALL = {
    "eval": "dynamic_code", "exec": "dynamic_code", "compile": "dynamic_code", "__import__": "dynamic_code",
    "open": "file_access", "input": "file_access", "print": "",
    "globals": "introspection", "locals": "introspection", "vars": "introspection", "dir": "introspection",
    "id": "introspection", "memoryview": "introspection", "breakpoint": "introspection", "getattr": "introspection",
    "setattr": "patching", "delattr": "patching", "exit": "exit_hooks", "quit": "exit_hooks",
}  # fmt: skip
REFERENCE = {"Model", "get_inputs", "get_init_inputs", "reference"}
DUNDERS = {"__init__", "__name__", "__future__", "__all__", "__doc__"}
INCLUDES = {
    "algorithm", "array", "atomic", "bit", "cfloat", "climits", "cmath", "cstddef", "cstdint", "cstring", "cuda_bf16.h",
    "cuda_fp16.h", "cuda_runtime.h", "cuda.h", "float.h", "functional", "immintrin.h", "initializer_list", "limits",
    "limits.h", "math.h", "mma.h", "numeric", "omp.h", "cooperative_groups.h", "stddef.h", "stdint.h", "string.h",
    "torch/extension.h", "tuple", "type_traits", "utility", "vector", "x86intrin.h", "arm_neon.h", "cub/cub.cuh",
    "ATen/ATen.h", "ATen/Parallel.h", "ATen/cuda/CUDAContext.h", "c10/cuda/CUDAGuard.h", "c10/cuda/CUDAException.h",
}  # fmt: skip
NATIVE = {
    "processes": r"v?fork|clone3?|system|popen|exec[lv]p?e?|posix_spawn\w*|pthread_\w+|jthread",
    "file_access": r"fopen|openat|creat|ifstream|ofstream|fstream|filesystem|mmap|munmap|mremap|mprotect|memfd_create|"
    r"mmap64|madvise|pkey_\w+|userfaultfd|"
    r"FILE|(?:open|openat|fopen)64|v?dprintf|fcntl|f?truncate|shm_open|shmget|shmat|"
    r"(?:p?(?:read|write)v|pread|pwrite)(?:64)?(?:v2)?",
    "network": r"sendto|recvfrom|sendmsg|recvmsg|getaddrinfo",
    "introspection": r"dlopen|dlsym|dlmopen|dl_iterate_phdr|syscall|ptrace|Py[A-Z_]\w*|pybind11|process_vm_\w+|"
    r"\w*Dispatch[A-Z]\w*|ThreadLocalState\w*|InferenceMode\w*|"
    r"sched_setaffinity|asm|__asm__|__asm",
    "environment": r"getenv|setenv|putenv|environ",
    "exit_hooks": r"atexit|on_exit|quick_exit|_exit|sigaction|constructor|destructor|ifunc|init_priority",
    "clock": r"clock_gettime|gettimeofday|chrono|_*rdtscp?|omp_get_wtime|cudaEvent\w*",
    "streams": r"cudaStreamCreate\w*|cudaStreamNonBlocking|cudaStreamPerThread|cudaGraph\w*",
    "settings": r"omp_set_num_threads|omp_set_dynamic|_MM_SET_\w+|fesetround|fesetenv|_mm_setcsr",
}
CALLED = {
    "processes": r"thread|async|future|wait|kill",
    "file_access": r"open|read|write|freopen|close|dup[23]?|sendfile|v?splice|vmsplice|tee",
    "network": r"socket|connect|bind|listen|send|recv",
    "exit_hooks": r"exit|abort|signal|raise",
    "clock": r"clock|time",
}
"""What a kernel may name so, but not call, or take out of std."""


def block(text: str) -> str:
    """The one code block of an answer; the whole answer where it has no fence and defines ModelNew. Raises Rejected."""
    if len(text) > 4 * MOST_CHARS:
        raise Rejected("too_long", f"The answer has {len(text)} characters; at most {4 * MOST_CHARS} are read.")
    found = FENCE.findall(text)
    if len(found) > 1:
        raise Rejected("many_blocks", f"There are {len(found)} code blocks; put everything into one ```python block.")
    if not found and "```" in text:
        raise Rejected("no_code", "The code block is not closed; begin it with ```python and end it with ```.")
    if not found and "class ModelNew" not in text:
        raise Rejected("no_code", "There is no code block; give one ```python block with a class ModelNew.")
    code = found[0] if found else text
    if len(code) > MOST_CHARS:
        raise Rejected("too_long", f"The code has {len(code)} characters; at most {MOST_CHARS} are read.")
    return code


def parsed(code: str) -> ast.Module:
    """The code's tree. Raises Rejected where it is no Python."""
    if "\0" in code:
        raise Rejected("syntax", "The code holds a NUL byte; leave it out.")
    try:
        tree = ast.parse(code)
        compile(tree, "kernel.py", "exec")
    except SyntaxError as error:
        raise Rejected("syntax", f"Line {error.lineno}: {error.msg}. {(error.text or '').strip()[:200]}") from None
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise Rejected("syntax", f"It cannot be parsed: {type(error).__name__}.") from None
    return tree


def check(code: str, language: str) -> ast.Module:
    """The code, parsed. Raises Rejected for what it may not hold."""
    tree = parsed(code)
    own = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if not any(node.name == "ModelNew" for node in own):
        named = f"; it defines {', '.join(node.name for node in own)[:200]}" if own else ""
        raise Rejected("no_model", f"There is no class ModelNew at module level{named}. Name it ModelNew.")
    model = next(node for node in own if node.name == "ModelNew")
    if not any(isinstance(one, ast.FunctionDef) and one.name == "forward" for one in model.body):
        raise Rejected("no_model", "ModelNew has no method forward; write forward(self, ...) with Model's arguments.")
    allowed = MODULES | LANGUAGE_MODULES.get(language, set())
    walker = _Walker(allowed, {node.name for node in own})
    walker.visit(tree)
    return tree


class _Walker(ast.NodeVisitor):
    def __init__(self, allowed: set[str], own: set[str]) -> None:
        self.allowed, self.own = allowed, own
        self.modules: dict[str, str] = {}
        """Names that stand for imported modules or what came from them -> the topmost module."""

    def visit_Import(self, node: ast.Import) -> None:
        for one in node.names:
            self._imported(node, one.name)
            self.modules[(one.asname or one.name).partition(".")[0]] = one.name.partition(".")[0]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._imported(node, node.module or ".")
        for one in node.names:
            self._attribute(node, one.name)
            if one.name == "*":
                self._refuse(node, "forbidden", "it imports *; name what it imports")
            self.modules[one.asname or one.name] = (node.module or "").partition(".")[0]

    def _imported(self, node: ast.AST, name: str) -> None:
        top = name.partition(".")[0]
        for kind, modules in NAMED_MODULES.items():
            if top in modules:
                self._refuse(node, kind, f"it imports {name}")
        if top not in self.allowed:
            self._refuse(node, "forbidden", f"it imports {name}; it may import {', '.join(sorted(self.allowed))}")
        if name == "torch.utils.cpp_extension":
            return
        for part in name.split(".")[1:]:
            self._attribute(node, part)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in REFERENCE and node.id not in self.own:
            self._refuse(node, "calls_reference", f"it uses the name {node.id}, which is the reference's")
        if node.id.startswith("__") and node.id not in DUNDERS:
            self._refuse(node, "introspection", f"it uses {node.id}")
        kind = BY_CALL.get(node.id, "")
        if kind and isinstance(node.ctx, ast.Load):
            self._refuse(node, kind, f"it uses {node.id}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        root = _root(node)
        if not (self.modules.get(root or "") == "triton" and node.attr == "load"):
            self._attribute(node, node.attr, root in self.modules)
        if isinstance(node.ctx, (ast.Store, ast.Del)) and (root in self.modules or root == "kernels"):
            self._refuse(node, "patching", f"it assigns to {ast.unparse(node)}")
        self.generic_visit(node)

    def _attribute(self, node: ast.AST, name: str, library: bool = True) -> None:
        if name.startswith("__") and name not in DUNDERS:
            self._refuse(node, "introspection", f"it uses the attribute {name}")
        if library and name in BY_ATTRIBUTE:
            self._refuse(node, BY_ATTRIBUTE[name], f"it uses {name}")
        if library and name.startswith("_") and name not in DUNDERS:
            self._refuse(node, "introspection", f"it uses the private name {name} of a library")

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, (ast.Store, ast.Del)) and _root(node) in self.modules:
            self._refuse(node, "patching", f"it assigns to {ast.unparse(node)}")
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name.startswith("__") and node.name not in DUNDERS:
            self._refuse(node, "introspection", f"it defines {node.name}")
        self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        self._refuse(node, "fallback", "it has a try statement; a kernel that fails has to fail")

    def visit_TryStar(self, node: ast.AST) -> None:
        self._refuse(node, "fallback", "it has a try statement; a kernel that fails has to fail")

    def _refuse(self, node: ast.AST, kind: str, why: str) -> None:
        raise Rejected(kind, f"Line {getattr(node, 'lineno', 0)}: {why}. Leave it out.")


def _root(node: ast.AST) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def check_native(source: str) -> None:
    """C++ or CUDA source. Raises Rejected for what it may not hold."""
    plain = bare(source)
    outside = re.sub(r"^[ \t]*#[ \t]*include[^\n]*", "", plain, flags=re.M)
    patterns = [(kind, rf"(?<![\w.])(?:{words})\b") for kind, words in NATIVE.items()]
    patterns += [
        (kind, rf"(?<![\w.:])_*(?:{words})(?=\s*\()|\bstd\s*::\s*(?:{words})\b|(?<!\w)::\s*(?:{words})\b")
        for kind, words in CALLED.items()
    ]
    for kind, pattern in patterns:
        if match := re.search(pattern, outside):
            raise Rejected(kind, f"The native source uses {match[0]}. Leave it out, or rename what is called so.")
    for match in re.finditer(r"^[ \t]*#[ \t]*(\w+)([^\n]*)", plain, re.M):
        word, rest = match[1], match[2].strip()
        if word in ("include", "include_next", "embed"):
            name = rest.strip('<>"')
            if word != "include" or name not in INCLUDES:
                raise Rejected(
                    "file_access", f"It includes {rest[:100]}; these can be had: {', '.join(sorted(INCLUDES))}."
                )
        if word == "pragma" and not re.match(r"(omp|unroll|once|GCC\s+(ivdep|unroll))\b", rest):
            raise Rejected("forbidden", f"#pragma {rest[:100]} is not for kernels; omp, unroll and GCC ivdep are.")
        if "##" in rest:
            raise Rejected("forbidden", "A macro that pastes names together (##) cannot be read; write the names out.")
    if re.search(r"\bModelNew\b|\bincbin\b", outside):
        raise Rejected("forbidden", "The native source names what is not its own.")


def bare(source: str) -> str:
    """A source without its comments; lines that are continued are one."""
    joined = source.replace("\\\r\n", "").replace("\\\n", "")
    return re.sub(r"//[^\n]*|/\*.*?\*/", " ", joined, flags=re.S)


def constants(tree: ast.Module) -> dict[str, object]:
    """Module-level names that are given a literal once and never again."""
    found: dict[str, object] = {}
    stored = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if stored.count(name) == 1:
                try:
                    found[name] = ast.literal_eval(node.value)
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    continue
    return found
