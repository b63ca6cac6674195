"""The layout of the code: imports run one way, the core knows no target model, files stay short."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEVELS = (  # of bindplug/: a room may import those of its own level and of the levels before it
    ("errors",),
    ("plugins",),
    ("device", "defaults"),
    ("storage",),
    ("cache", "imagebind", "transforms"),
    ("embedding",),
    ("models",),
    ("bridge",),
    ("detection",),
    ("generation",),
    ("evaluation",),
    ("training",),
    ("watch", "server", "ray"),
    ("cli",),
    ("__init__", "__main__"),
)
LEVEL = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
LINES = 300
TARGETS = re.compile(
    r"(?<![a-z])(?:detic|owl|owlv\d|owlvit|gdino|grounding|sam\d?|unclip|karlo|kandinsky|"
    r"ip.adapter)(?![a-z])",
    re.IGNORECASE,
)


@cache
def modules() -> dict[str, Path]:
    """Every module of the core and of the plugins by its dotted name."""
    found = {}
    for base in (ROOT, ROOT / "plugins"):
        for top in sorted(base.glob("bindplug*")):
            for path in sorted(top.rglob("*.py")):
                parts = path.relative_to(base).with_suffix("").parts
                found[".".join(p for p in parts if p != "__init__")] = path
    return found


@cache
def imports(name: str) -> frozenset[str]:
    """The modules that a module imports, in functions too, but not for type checking only."""
    path = modules()[name]
    tree = ast.parse(path.read_text("utf-8"))
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    out = set()
    for node in _nodes(tree):
        wanted = []
        if isinstance(node, ast.Import):
            wanted = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            wanted = [f"{base}.{a.name}" for a in node.names]
        for target in wanted:
            while target and target not in modules():
                target = target.rpartition(".")[0]
            own_package = target in modules() and name.startswith(target + ".")
            if target and target != name and not own_package:
                out.add(target)
    return frozenset(out)


def _nodes(tree):
    """All nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from _nodes(node)


def room(name: str) -> str:
    return [*name.split("."), "__init__"][1]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_import_loop():
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, "import loop: " + " > ".join([*way[way.index(name) :], name])
        if name not in done:
            for target in sorted(imports(name)):
                visit(target, (*way, name))
            done.add(name)

    for name in modules():
        visit(name, ())


@pytest.mark.parametrize("name", [n for n in modules() if n.split(".")[0] == "bindplug"])
def test_imports_run_downwards(name):
    assert room(name) in LEVEL, f"{room(name)}: give this room its place in LEVELS"
    for target in imports(name):
        assert target.split(".")[0] == "bindplug", f"{name} imports the plugin {target}"
        assert LEVEL[room(target)] <= LEVEL[room(name)], f"{name} imports {target}, a room above"


def test_no_plugin_imports_another():
    for name in modules():
        top = name.split(".")[0]
        if top != "bindplug":
            others = {t.split(".")[0] for t in imports(name)} - {top, "bindplug"}
            assert not others, f"{name} imports {', '.join(others)}"


def test_the_core_names_no_target_model():
    for name, path in modules().items():
        if name.split(".")[0] != "bindplug" or name == "bindplug.defaults":
            continue
        found = sorted({m for text in _words(path) for m in TARGETS.findall(text)})
        assert not found, f"{short(path)} names {found}"


def _words(path: Path):
    """The names and the string literals of a file, docstrings left out."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(getattr(node, "value", None), str) and id(node) not in docstrings:
            yield node.value
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            if isinstance(getattr(node, field, None), str):
                yield getattr(node, field)


def test_files_are_short():
    for folder in ("bindplug", "plugins", "examples", "benchmarks", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            count = len(path.read_text("utf-8").splitlines())
            assert count <= LINES, f"{short(path)}: {count} lines"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bindplug.cli import main; main(['--help'], standalone_mode=False); "
        "print('heavy:', *{'torch', 'numpy', 'PIL', 'av', 'diffusers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout.rstrip().endswith("heavy:"), run.stdout.splitlines()[-1]
