"""How a sound's embedding best reaches the region that a decoder of images knows, and what the
images show.

python examples/painting/study.py --weights FOLDER [settings] [ways] [candidates] [arithmetic]
    [together] [morphs] [likeness] [sheet] [--seeds 2] [-o docs]

The folder is what `examples/small/package.py --to FOLDER --sounds train` makes: the weights that
ship heard the recordings that are used here.

Each part puts its figures into painting.json beside those of the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "small"))

from mixtures import arithmetic, morphs, together
from pictures import likeness, sheet
from ways import candidates, settings, ways
from world import World


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=2, help="pictures of a row")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    args = parser.parse_args()
    parts = {"settings": settings, "ways": ways, "candidates": candidates,
             "arithmetic": arithmetic, "together": together, "morphs": morphs, "likeness": likeness,
             "sheet": partial(sheet, path=args.output / "painting.jpg")}  # fmt: skip
    world, path = World(args.weights), args.output / "painting.json"
    for name in args.parts or parts:
        figures = parts[name](world, args.seeds)
        print(name, json.dumps(figures, indent=1), flush=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, name: figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
