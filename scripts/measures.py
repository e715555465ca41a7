"""How long and how repetitive the code is: the measures behind the limits of
`tests/test_repository.py`.

usage: python scripts/measures.py [GLOB]    (default: every module of every package)
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
EVERYTHING = "packages/*/src/**/*.py"
WINDOW = 8
NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    }
)
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(path: Path) -> set[int]:
    """The numbers of the lines that hold code: no blank lines, comments or docstrings."""
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in NO_CODE]
    lines = {n for t in tokens[1:] for n in range(t.start[0], t.end[0] + 1)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def function_lengths(path: Path) -> dict[str, int]:
    """Code lines of each function, by ``name:line``."""
    code = code_lines(path)
    return {
        f"{node.name}:{node.lineno}": len(
            code & set(range(node.lineno, (node.end_lineno or 0) + 1))
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def duplication(paths: Sequence[Path]) -> dict[Path, float]:
    """The share of each file's code that stands in another one too: runs of eight lines that are
    equal once the model's name, which is its folder's, is left out. Imports do not count.
    """
    bodies = {path: _neutral_lines(path) for path in paths}
    seen = Counter(run for body in bodies.values() for run in set(_runs(body)))
    return {path: _share(body, seen) for path, body in bodies.items()}


def _neutral_lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8").splitlines()
    name = re.escape(path.parent.name)
    lines = (text[number - 1].strip() for number in sorted(code_lines(path)))
    plain = (re.sub(name, "§", line, flags=re.IGNORECASE) for line in lines)
    return [line for line in plain if not re.match(r"(from|import)\b", line)]


def _runs(body: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(body[i : i + WINDOW]) for i in range(len(body) - WINDOW + 1)]


def _share(body: Sequence[str], seen: Counter[tuple[str, ...]]) -> float:
    starts = (i for i, run in enumerate(_runs(body)) if seen[run] > 1)
    repeated = {line for start in starts for line in range(start, start + WINDOW)}
    return len(repeated) / len(body) if body else 0.0


def percentile_90(values: Iterable[float]) -> float:
    """The value that nine of ten do not exceed."""
    return quantiles(values, n=10, method="inclusive")[-1]


def main() -> None:
    """Print the figures of the whole tree, or of the files a pattern names."""
    paths = sorted(ROOT.glob(sys.argv[1] if len(sys.argv) > 1 else EVERYTHING))
    sizes = {path: len(code_lines(path)) for path in paths}
    functions = {f"{p}:{n}": length for p in paths for n, length in function_lengths(p).items()}
    shares = duplication(paths)
    print(f"{len(paths)} modules, {sum(sizes.values())} lines of code")
    print(f"module: median {median(sizes.values()):.0f}, p90 {percentile_90(sizes.values()):.0f}")
    print(f"function: median {median(functions.values()):.0f}, ", end="")
    print(f"p90 {percentile_90(functions.values()):.0f}")
    print(f"repeated: {sum(shares[p] * sizes[p] for p in paths) / sum(sizes.values()):.1%}")
    for title, table in (("longest", sizes), ("longest functions", functions)):
        print(f"{title}:")
        for place, length in sorted(table.items(), key=lambda item: -item[1])[:8]:
            print(f"  {length:4}  {str(place).removeprefix(f'{ROOT}/')}")


if __name__ == "__main__":
    main()
