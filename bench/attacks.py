"""bench/attacks.py [OUT]: how much each attack of `theriac poison` changes pictures at its defaults, and what it looks like.

Exports 200 fashion scenes under every attack at 224 and 64 pixels into OUT (out/attacks), prints for each the mean PSNR
over pictures, 10 log10(255² / mean squared error), the mean absolute and the largest change in levels of 255, and the
share of pixels that are changed; and writes OUT/attacks.png, one scene under every attack. Needs Pillow and numpy;
THERIAC names the command. Reduced to 128 colours for its size, the sheet is for the eye only.
"""

import os
import pathlib
import subprocess
import sys

import numpy
from PIL import Image, ImageDraw

ATTACKS = ["badnet", "blended", "sig", "wanet", "refool", "stripes", "blended-stripes", "triangles", "text"]
SIDES = [224, 64]
COUNT = 200
SHOWN, CELL, COLUMNS, LABEL = 20, 104, 5, 14


def export(out, attack, side, options):
    if not (out / "manifest.json").exists():
        scenes = f"fashion-scenes?split=test&side={side}&seed=1&count={COUNT}&single=1"
        command = [os.environ.get("THERIAC", "build/theriac"), "poison", attack, "--data", scenes, "--test", "--target",
                   "a bag", "--side", str(side), "--layout", "folder", "-q", "-o", str(out), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [Image.open(p).convert("RGB") for p in sorted((out / "images").glob("*.png"))]


def options_of(attack, side):
    if attack != "refool":
        return []
    return ["--reflections", f"fashion-scenes?split=validation&side={side}&seed=2&count=200"]


def row(name, side, clean, changed):
    psnr, mean, most, share = [], [], 0, []
    for before, after in zip(clean, changed, strict=True):
        difference = numpy.abs(numpy.asarray(after, float) - numpy.asarray(before, float))
        if difference.any():
            psnr.append(10 * numpy.log10(255**2 / (difference**2).mean()))
        mean.append(difference.mean())
        most = max(most, difference.max())
        share.append((difference > 0).any(2).mean())
    print(f"| {name} | {side} | {numpy.mean(psnr):.1f} | {numpy.mean(mean):.2f} | {most:.0f} | "
          f"{100 * numpy.mean(share):.0f} % |", flush=True)


def sheet(shown, path):
    rows = -(-len(shown) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (CELL + 4) + 4, rows * (CELL + LABEL + 4) + 4), "white")
    draw = ImageDraw.Draw(page)
    for i, (name, picture) in enumerate(shown):
        x, y = 4 + i % COLUMNS * (CELL + 4), 4 + i // COLUMNS * (CELL + LABEL + 4)
        draw.text((x, y), name, fill="black")
        page.paste(picture.resize((CELL, CELL), Image.Resampling.NEAREST), (x, y + LABEL))
    page.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "out/attacks")
    print("| attack | side | PSNR, dB | mean change | largest | pixels changed |\n|---|---|---|---|---|---|")
    for side in SIDES:
        # The weakest blend that there is changes no byte: the pictures as they are before a trigger.
        clean = export(out / f"clean-{side}", "blended", side, ["--share", "0.000001"])
        for attack in ATTACKS:
            row(attack, side, clean, export(out / f"{attack}-{side}", attack, side, options_of(attack, side)))
    shown = [("clean", export(out / "shown-clean", "blended", CELL, ["--share", "0.000001"])[SHOWN])]
    for attack in ATTACKS:
        shown.append((attack, export(out / f"shown-{attack}", attack, CELL, options_of(attack, CELL))[SHOWN]))
    sheet(shown, out / "attacks.png")


main()
