"""From a submission to libraries: what is compiled, how its functions are called, and a cache by content.

`cpp` and `cuda` are a plain C ABI: the string `CPP` (or `CUDA`) at module level holds `extern "C"` functions, and
`FLAGS`, a list, may hold compiler flags of FLAGS. A `load_inline(...)` whose arguments are literals or module-level
names is built as torch would build it, from torch's headers, which takes a minute the first time. Compilers run in a
sandbox.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from envserver.envs._kernel.lint import bare, check_native, constants
from envserver.envs._kernel.verdict import Rejected
from envserver.sandboxes.base import Limits, open_sandbox

__all__ = ["FLAGS", "Library", "Made", "cache_root", "compiled", "compiler", "wanted"]

FLAGS = {
    "-O1", "-O2", "-O3", "-Ofast", "-ffast-math", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros",
    "-fassociative-math", "-freciprocal-math", "-ffinite-math-only", "-fno-finite-math-only", "-funroll-loops",
    "-ftree-vectorize", "-fopenmp-simd", "-mprefer-vector-width=256", "-mprefer-vector-width=512", "--use_fast_math",
    "-funsafe-math-optimizations",
}  # fmt: skip
SOURCES = {"cpp": "CPP", "cuda": "CUDA"}
TYPES = {
    "float": "float", "double": "double", "bool": "bool", "char": "int8", "short": "int16", "int": "int32",
    "long": "int64", "unsigned": "uint32", "size_t": "uint64", "ssize_t": "int64", "ptrdiff_t": "int64",
    "intptr_t": "int64", "void": "void",
    "half": "half", "__half": "half", "_Float16": "half", "nv_bfloat16": "bfloat16",
    "__nv_bfloat16": "bfloat16", "float4": "float", "float2": "float",
    **{f"{sign}int{bits}_t": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
FUNCTION = re.compile(r"([A-Za-z_][\w\s]*?[\s*]+)([A-Za-z_]\w*)\s*\(([^()]*)\)\s*\{", re.S)
MOST_LIBRARY_BYTES = 64 << 20


@dataclass(frozen=True)
class Library:
    """One thing to compile."""

    kind: str
    """`plain`: a C ABI; `inline`: what `load_inline` asks for."""
    name: str
    source: str
    language: str
    flags: tuple[str, ...] = ()
    functions: list[Any] = field(default_factory=list)
    """Of a plain one: names with types of arguments and result; of an inline one: names."""


@dataclass(frozen=True)
class Made:
    """A library on disk."""

    path: Path
    cached: bool


def wanted(tree: ast.Module, language: str, lint: bool = True) -> list[Library]:
    """What a submission asks to be compiled. Raises Rejected where its language demands a kernel and there is none."""
    known = constants(tree)
    found: list[Library] = []
    for of, name in SOURCES.items():
        source = known.get(name)
        if language != of or source is None:
            continue
        if not isinstance(source, str):
            raise Rejected("no_kernel", f"{name} is the native source, as one string.")
        if lint:
            check_native(source)
        functions = signatures(source)
        if not functions:
            raise Rejected(
                "no_kernel", f'{name} defines no extern "C" function; write extern "C" void NAME(...) {{ ... }}.'
            )
        found.append(Library("plain", name.lower(), source, of, _flags(known), functions))
    if language in SOURCES:
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _named(node.func) == "load_inline"]
        found += [_inline(node, known) for node in calls]
        if not found:
            raise Rejected(
                "no_kernel",
                f"There is no native source; give it as a string {SOURCES[language]} at module level and call its "
                f"functions as kernels.NAME(...).",
            )
        if found[0].kind == "plain" and not re.search(r"\bkernels\s*\.", ast.unparse(tree)):
            raise Rejected("no_kernel", "Its functions are never called; call them as kernels.NAME(...) in forward.")
    if language in ("triton", "numba") and not _decorated(tree, language):
        raise Rejected("no_kernel", f"There is no {language} kernel; decorate one with @{language}.jit.")
    return found


def signatures(source: str) -> list[dict[str, Any]]:
    """The `extern "C"` functions of a source. Raises Rejected for an argument that cannot be passed."""
    plain, found = bare(source), []
    for start in re.finditer(r'extern\s+"C"\s*', plain):
        rest = plain[start.end() :]
        if rest.startswith("{"):
            inside, outer = rest[1 : _closing(rest)], ""
            while inside:  # bodies are cut out, so that what looks like a function within one is none
                match = FUNCTION.search(inside)
                if match is None:
                    break
                found.append(_signature(match))
                body = inside[match.end() - 1 :]
                inside, outer = body[_closing(body) + 1 :], outer
        elif match := FUNCTION.match(rest):
            found.append(_signature(match))
    return [one for one in found if one is not None]


def compiled(library: Library, *, sandbox: str, timeout_s: float) -> Made:
    """A library's file, out of the cache or made. Raises Rejected, SandboxUnavailable."""
    command = _command(library)
    said = "\0".join([library.kind, library.name, library.source, *command, _machine(library.language)])
    path = cache_root() / "libraries" / f"{hashlib.sha256(said.encode()).hexdigest()}.so"
    if path.exists():
        os.utime(path)
        return Made(path, True)
    data = _compile(library, command, sandbox, timeout_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.replace(file.name, path)
    return Made(path, False)


def cache_root() -> Path:
    """`$TURNHALLE_CACHE/kernel`, or `turnhalle/kernel` in the user's cache directory."""
    own = os.environ.get("TURNHALLE_CACHE")
    if own:
        return Path(own) / "kernel"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "turnhalle" / "kernel"


def _compile(library: Library, command: list[str], sandbox: str, timeout_s: float) -> bytes:
    inline = library.kind == "inline"
    options: dict[str, Any] = {"packages": ["torch"]} if inline and sandbox != "docker" else {}
    limits = Limits(
        wall_s=timeout_s,
        cpu_s=timeout_s,
        memory_bytes=4 << 30 if inline else 2 << 30,
        disk_bytes=512 << 20,
        output_bytes=1 << 18,
    )
    suffix = "cu" if library.language == "cuda" else "cpp"
    with open_sandbox(sandbox, options) as box:
        box.write(f"kernel.{suffix}", library.source.encode())
        ran = box.run(command, limits=limits)
        if ran.timed_out:
            how = (
                "give it with a C ABI in a string CPP, without torch's headers" if inline else "make the source simpler"
            )
            raise Rejected("compile_timeout", f"Compiling took longer than {timeout_s:g} s; {how}.")
        if ran.out_of_memory:
            raise Rejected("compile", "Compiling took too much memory; make the source simpler.")
        if ran.code != 0:
            told = "\n".join(line for line in (ran.err + ran.out).splitlines() if "error" in line)[:3000]
            raise Rejected("compile", told or (ran.err or f"the compiler ended with {ran.code}")[:2000])
        return box.read("kernel.so", limit_bytes=MOST_LIBRARY_BYTES)


def _command(library: Library) -> list[str]:
    if library.language == "cuda":
        return [
            compiler("cuda"), "-O3", "-shared", "-std=c++17", "-Xcompiler", "-fPIC", "-arch", _architecture(),
            *(flag for flag in library.flags if flag == "--use_fast_math"), "-o", "kernel.so", "kernel.cu",
        ]  # fmt: skip
    command = [compiler("cpp"), "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-std=c++17"]
    command += [flag for flag in library.flags if not flag.startswith("--")]
    if library.kind == "inline":
        headers = "/packages/torch/include"
        command += [
            f"-I{headers}", f"-I{headers}/torch/csrc/api/include", f"-I{sysconfig.get_path('include')}", "-O2",
            "-D_GLIBCXX_USE_CXX11_ABI=1", "-DTORCH_API_INCLUDE_EXTENSION_H", f"-DTORCH_EXTENSION_NAME={library.name}",
        ]  # fmt: skip
        # They are in the process that loads it; named, they are found there.
        libraries = ["-L/packages/torch/lib", "-lc10", "-ltorch_cpu", "-ltorch", "-ltorch_python"]
        return [*command, "-o", "kernel.so", "kernel.cpp", *libraries]
    return [*command, "-o", "kernel.so", "kernel.cpp"]


def compiler(language: str) -> str:
    """The compiler's name. Raises Rejected where this machine has none."""
    name = "nvcc" if language == "cuda" else "g++"
    if shutil.which(name) is None:
        raise Rejected("unavailable", f"This machine has no {name}, which language '{language}' needs.")
    return name


@functools.cache
def _machine(language: str) -> str:
    """What else decides what comes out: the compiler, the processor, torch."""
    name = shutil.which(compiler(language)) or ""
    told = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
    with contextlib.suppress(PackageNotFoundError):
        told += version("torch")
    with open("/proc/cpuinfo") as file:
        return told + "".join(sorted({line for line in file if line.startswith(("model name", "flags", "Features"))}))


def _architecture() -> str:
    return os.environ.get("TURNHALLE_CUDA_ARCH", "native" if Path("/dev/nvidiactl").exists() else "sm_90")


def _inline(call: ast.Call, known: dict[str, object]) -> Library:
    words: dict[str, Any] = {}
    for word in call.keywords:
        if word.arg in ("name", "cpp_sources", "functions", "cuda_sources", "extra_cflags"):
            words[word.arg] = _literal(word.value, known, word.arg)
    if call.args:
        words.setdefault("name", _literal(call.args[0], known, "name"))
    if words.get("cuda_sources"):
        raise Rejected(
            "no_kernel", "load_inline with cuda_sources is not taken; give CUDA with a C ABI in a string CUDA."
        )
    name, functions = words.get("name"), words.get("functions") or []
    sources = words.get("cpp_sources") or []
    parts = [sources] if isinstance(sources, str) else list(sources)
    if (
        not isinstance(name, str)
        or not name.isidentifier()
        or not parts
        or not all(isinstance(one, str) for one in parts)
    ):
        raise Rejected(
            "no_kernel", "load_inline needs name=, cpp_sources= and functions= as literals or module-level names."
        )
    names = [functions] if isinstance(functions, str) else list(functions)
    if not names or not all(isinstance(one, str) and one.isidentifier() for one in names):
        raise Rejected("no_kernel", "load_inline needs functions=[...], the names of what Python calls.")
    body = "\n".join(parts)
    check_native(body)
    bound = "\n".join(f'm.def("{one}", &{one});' for one in names)
    source = f"#include <torch/extension.h>\n{body}\nPYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {{\n{bound}\n}}\n"
    flags = tuple(one for one in words.get("extra_cflags") or () if one in FLAGS)
    return Library("inline", name, source, "cpp", flags, names)


def _literal(node: ast.expr, known: dict[str, object], word: str) -> object:
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, ast.List):
        return [_literal(one, known, word) for one in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise Rejected("no_kernel", f"{word}= of load_inline has to be a literal or a module-level name.") from None


def _flags(known: dict[str, object]) -> tuple[str, ...]:
    given = known.get("FLAGS", [])
    flags = given if isinstance(given, (list, tuple)) else [given]
    for flag in flags:
        if flag not in FLAGS:
            raise Rejected(
                "compile", f"The flag {str(flag)[:100]!r} cannot be had; these can: {', '.join(sorted(FLAGS))}."
            )
    return tuple(str(flag) for flag in flags)


def _signature(match: re.Match[str]) -> dict[str, Any] | None:
    result, name, inside = match[1], match[2], match[3].strip()
    if "static" in result.split() or "__global__" in result.split():
        return None
    given = [] if inside in ("", "void") else [_kind(one, name) for one in inside.split(",")]
    return {"name": name, "arguments": given, "result": _kind(result + " r", name)}


def _kind(declared: str, function: str) -> str:
    """The type of an argument, as `libraries.NUMBERS` spells it, `*` behind it for a pointer."""
    stars = declared.count("*") + declared.count("[")
    words = re.findall(r"\w+", declared.replace("[", " ").replace("]", " "))
    words = [
        one
        for one in words
        if one not in ("const", "restrict", "__restrict__", "__restrict", "struct", "std", "inline")
    ]
    kinds = words[:-1] if len(words) > 1 else words
    text = " ".join(kinds)
    base = TYPES.get(kinds[-1] if kinds else "", "")
    if text in ("long long", "long int", "long long int", "long"):
        base = "int64"
    elif kinds and kinds[0] == "unsigned":
        base = {"char": "uint8", "short": "uint16", "long": "uint64"}.get(kinds[-1], "uint32")
    elif kinds and kinds[0] == "signed":
        base = TYPES.get(kinds[-1], "int32")
    if not base or stars > 1 or re.search(r"[<>&:]", declared):
        raise Rejected(
            "compile",
            f"An argument of {function}, '{declared.strip()[:80]}', cannot be passed; use numbers and pointers.",
        )
    return base + "*" * (stars and not base.endswith("*"))


def _closing(text: str) -> int:
    """Where the brace that `text` begins with is closed."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if depth == 0:
            return at
    return len(text)


def _named(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _decorated(tree: ast.Module, language: str) -> bool:
    names = {"jit", "njit", "vectorize", "guvectorize", "autojit"} if language == "numba" else {"jit"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for one in node.decorator_list:
                if _named(one.func if isinstance(one, ast.Call) else one) in names:
                    return True
    return False
