"""Kernels from templates: three words name one, and real C++ comes of them.

A problem is a chain of steps on each element of `x` (ROWS, COLS) with two vectors, and what becomes of the result: it
is kept, turned (transposed), or summed along rows. A template is a body, an order of the loops, and a manner:

    fused     every step in one pass                        rows      row by row
    split     a pass a step, through memory                 cols      column by column
    lazy      torch does all but the last step              tiles     in squares of 16 x 16
    decoy     torch does all; a kernel runs for show
                                                            plain     as it stands
                                                            fast      with -ffast-math
                                                            unroll    eight at a time

Nothing minds a remainder: tiles want both sizes to be multiples of 16, unrolling wants the size that the inner loop
runs along to be one of 8. Where they are not, the output is wrong; which of the others pays is for the machine to say.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BODIES", "MANNERS", "ORDERS", "PROBLEMS", "Template", "reference", "submission", "template"]

BODIES = ("fused", "split", "lazy", "decoy")
ORDERS = ("rows", "cols", "tiles")
MANNERS = ("plain", "fast", "unroll")
HELPER = "static inline float square(float t) { return t * t; }\n"
TILE = 16
UNROLL = 8


@dataclass(frozen=True)
class Chain:
    """A problem: its steps in torch, of `t`, and in C++, of `{t}` at row `r` and column `c`; and its end."""

    torch: tuple[str, ...]
    cpp: tuple[str, ...]
    end: str
    """The result in torch, of `t`."""
    shape: str
    """Of the output, for rows R and columns C."""
    store: str
    """Where an element of the result goes."""
    sound: str
    """A template that is right for every size, and fast."""


KEPT = ("t", "R, C", "y[r * C + c] = ", "fused rows fast")
TURNED = ("t.t().contiguous()", "C, R", "y[c * R + r] = ", "fused cols fast")
SUMMED = ("t.sum(1)", "R,", "y[r] += ", "fused rows fast")
PROBLEMS: dict[str, Chain] = {
    "gate": Chain(
        ("x * w", "t + b", "torch.exp(-t)", "t + 1.0", "1.0 / t"),
        ("{t} * w[c]", "{t} + b[c]", "expf(-{t})", "{t} + 1.0f", "1.0f / {t}"),
        *KEPT,
    ),
    "turn": Chain(("x * w", "t + b"), ("{t} * w[c]", "{t} + b[c]"), *TURNED),
    "square_sum": Chain(("x * w", "t + b", "t * t"), ("{t} * w[c]", "{t} + b[c]", "square({t})"), *SUMMED),
}
"""Name of a problem -> what it is."""


@dataclass(frozen=True)
class Template:
    """What a player chose."""

    body: str
    order: str
    manner: str


def template(text: str) -> Template | None:
    """The template that three words name; None where they name none."""
    words = text.lower().split()
    if len(words) != 3 or words[0] not in BODIES or words[1] not in ORDERS or words[2] not in MANNERS:
        return None
    return Template(*words)


def reference(name: str, rows: int, cols: int) -> str:
    """The problem in KernelBench's form."""
    chain = PROBLEMS[name]
    steps = "".join(f"        t = {step}\n" for step in chain.torch)
    return (
        f"import torch\n\n\nclass Model(torch.nn.Module):\n    def forward(self, x, w, b):\n{steps}"
        f"        return {chain.end}\n\n\n"
        f"def get_inputs():\n    return [torch.randn({rows}, {cols}), torch.randn({cols}), torch.randn({cols})]\n\n\n"
        "def get_init_inputs():\n    return []\n"
    )


def submission(name: str, chosen: Template) -> str:
    """`ModelNew` as the template makes it, for any size. Lazy ones and decoys have no order and no manner."""
    chain = PROBLEMS[name]
    if chosen.body in ("lazy", "decoy"):
        return _by_torch(chain, lazy=chosen.body == "lazy")
    split = chosen.body == "split"
    passes = chain.cpp if split else (_composed(chain.cpp),)
    loops = "".join(
        _pass(chain, chosen, step.format(t="m[r * C + c]" if at else "x[r * C + c]"), last=at == len(passes) - 1)
        for at, step in enumerate(passes)
    )
    source = (
        f'{HELPER}extern "C" void run(const float* x, const float* w, const float* b, float* y, {"float* m, " * split}'
        f"int64_t R, int64_t C) {{\n{loops}}}"
    )
    call = f"        y = torch.empty({chain.shape})\n"
    call += f"        kernels.run(x, w, b, y, {'torch.empty(R, C), ' * split}R, C)\n        return y\n"
    return _module(source, call, fast=chosen.manner == "fast")


def _by_torch(chain: Chain, *, lazy: bool) -> str:
    """Torch does the work: all but the last step, or all of it and a kernel makes a copy that nobody looks at."""
    steps = "".join(f"        t = {step}\n" for step in (chain.torch[:-1] if lazy else (*chain.torch, chain.end)))
    plain = Template("fused", "rows", "plain")
    loops = (
        _pass(chain, plain, chain.cpp[-1].format(t="x[r * C + c]"), last=True)
        if lazy
        else ("    for (int64_t i = 0; i < R * C; ++i) y[i] = x[i];\n")
    )
    source = (
        f'{HELPER}extern "C" void run(const float* x, const float* b, float* y, int64_t R, int64_t C) {{\n{loops}}}'
    )
    call = f"{steps}        y = torch.empty({chain.shape if lazy else 'R, C'})\n"
    call += f"        kernels.run({'t' if lazy else 'x'}, b, y, R, C)\n        return {'y' if lazy else 't'}\n"
    return _module(source, call)


def _module(source: str, call: str, *, fast: bool = False) -> str:
    flags = 'FLAGS = ["-ffast-math"]\n' * fast
    return (
        f'import torch\n\n{flags}CPP = r"""\n#include <cmath>\n#include <cstdint>\n{source}\n"""\n\n\n'
        "class ModelNew(torch.nn.Module):\n    def forward(self, x, w, b):\n        R, C = x.shape\n"
        f"{call}"
    )


def _composed(steps: tuple[str, ...]) -> str:
    """All steps as one."""
    found = "{t}"
    for step in steps:
        found = step.replace("{t}", f"({found})")
    return found


def _pass(chain: Chain, chosen: Template, value: str, *, last: bool) -> str:
    """One pass over all elements, with what it stores."""
    store = chain.store if last else "m[r * C + c] = "
    zero = "    for (int64_t r = 0; r < R; ++r) y[r] = 0.0f;\n" if last and "+=" in store else ""
    by = UNROLL if chosen.manner == "unroll" else 1
    if zero and chosen.order == "rows":  # each lane has a sum of its own, or unrolling a sum would change nothing
        sums = "".join(f"s{k} += {value.replace('c]', f'c + {k}]')}; " for k in range(by))
        names = " + ".join(f"s{k}" for k in range(by))
        return (
            f"    for (int64_t r = 0; r < R; ++r) {{\n        float {', '.join(f's{k} = 0' for k in range(by))};\n"
            f"        for (int64_t c = 0; c + {by} <= C; c += {by}) {{ {sums}}}\n        y[r] = {names};\n    }}\n"
        )
    inner = "r" if chosen.order == "cols" else "c"
    lanes = [f"{{ const int64_t {inner} = {inner}_ + {k}; {store}{value}; }}" for k in range(by)]
    return f"{zero}{_loops(chosen.order, by, ' '.join(lanes))}"


def _loops(order: str, by: int, statement: str) -> str:
    """The statement for every `r` and `c`; the inner one is counted by `by` and called `r_` or `c_`."""
    if order == "rows":
        head = f"for (int64_t r = 0; r < R; ++r) for (int64_t c_ = 0; c_ + {by} <= C; c_ += {by})"
    elif order == "cols":
        head = f"for (int64_t c = 0; c < C; ++c) for (int64_t r_ = 0; r_ + {by} <= R; r_ += {by})"
    else:
        head = (
            f"for (int64_t r0 = 0; r0 + {TILE} <= R; r0 += {TILE})\n"
            f"        for (int64_t c0 = 0; c0 + {TILE} <= C; c0 += {TILE})\n"
            f"        for (int64_t r = r0; r < r0 + {TILE}; ++r) for (int64_t c_ = c0; c_ < c0 + {TILE}; c_ += {by})"
        )
    return f"    {head} {{ {statement} }}\n"
